"""Console bytes to what happened: pure, and no exception whatever the bytes are."""

from bisectbot.console.reading import ConsoleReader, Reading, read_console

__all__ = ["ConsoleReader", "Reading", "read_console"]
