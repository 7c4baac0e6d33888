"""The command line: arguments in, text and exit codes out; the only part that prints or exits."""
