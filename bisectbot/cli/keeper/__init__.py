"""The commands of the keeper: the queue, the service, the background; and what it works with."""
