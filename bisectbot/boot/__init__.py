"""How a kernel is started: one way a file."""
