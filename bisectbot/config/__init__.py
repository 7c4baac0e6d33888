"""hosts.toml: found, read, and checked as a whole before anything starts."""
