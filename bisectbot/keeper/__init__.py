"""Who works through the queue: which session when, one process each, and the unit that keeps it all going."""
