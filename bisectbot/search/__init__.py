"""Which commit to test next, and when to stop."""
