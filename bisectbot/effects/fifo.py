"""A named pipe: another program writes into it, we read as it comes, and its end is seen at once."""

from __future__ import annotations

import os
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOM = 1 << 16  # what a pipe holds: one read empties it
_GATHER = 0.005  # seconds; an emulated serial port hands over single bytes, and waking for each costs more than this


class Fifo:
    """The reading side; fits ports.ConsolePipe."""

    def __init__(self, path: Path, reading: int) -> None:
        self.path = path
        self._fd = reading
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any, b"" when the writer is gone."""
        if not (ready := self._poll.poll(patience * 1000)):
            return None
        if ready[0][1] & select.POLLHUP == 0:
            time.sleep(_GATHER)
        return os.read(self._fd, _ROOM)


@contextmanager
def fifo() -> Iterator[Fifo]:
    """Make a named pipe in a folder of its own and take both away at the end."""
    with tempfile.TemporaryDirectory(prefix="bisectbot-") as folder:
        path = Path(folder, "console")
        os.mkfifo(path, 0o600)
        # Not blocking: the writer opens its side later, or never.
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            yield Fifo(path, reading)
        finally:
            os.close(reading)
