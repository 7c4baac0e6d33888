"""What `bisectbot doctor` looks at, one subject a file; each check gives a Finding."""
