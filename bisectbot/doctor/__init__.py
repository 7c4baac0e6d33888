"""What is missing on this machine, and the line that mends it: one kind of check a file."""
