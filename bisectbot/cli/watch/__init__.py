"""`bisectbot watch`: all sessions of a folder in a terminal, from their journals alone."""
