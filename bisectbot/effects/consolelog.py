"""A console as a file for people and for console.py: each line with its time, the whole bounded."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bisectbot.errors import DiskFull, InfraError
from bisectbot.ports import Chunk

LIMIT = 16 << 20  # bytes


def stamp(at: float) -> bytes:
    """Return what a line begins with: seconds since the machine was started."""
    return b"[+%08.3f] " % at


class ConsoleLog:
    """Fits ports.ConsoleLog. Beyond `limit` bytes the first half stays, and of the rest the newest quarter at least."""

    def __init__(self, file: IO[bytes], limit: int = LIMIT) -> None:
        self._file = file
        self._limit = limit
        self._size = 0
        self._head = 0  # bytes that stay for good, once some had to go
        self._dropped = 0
        self._in_line = False

    def write(self, chunk: Chunk) -> None:
        """Append, each line stamped with the time of its first byte; on disk when this returns."""
        self._put(self._stamped(chunk))
        if self._size > self._limit:
            self._drop(chunk.at)
        self._file.flush()

    def _stamped(self, chunk: Chunk) -> bytes:
        *whole, rest = chunk.data.split(b"\n")
        lines = [line + b"\n" for line in whole] + ([rest] if rest else [])
        began = self._in_line
        self._in_line = bool(rest) or (began and not whole)
        mark = stamp(chunk.at)
        return b"".join(line if began and index == 0 else mark + line for index, line in enumerate(lines))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)

    def _drop(self, at: float) -> None:
        self._head = self._head or self._line_end(self._limit // 2)
        tail_at = max(self._head, self._line_end(self._size - self._limit // 4))
        self._file.seek(tail_at)
        tail = self._file.read()
        self._dropped += tail_at - self._head
        self._file.seek(self._head)
        self._file.truncate()
        self._size = self._head
        self._put(stamp(at) + b"### bisectbot left out about %d bytes here\n" % self._dropped)
        self._put(tail)

    def _line_end(self, at: int) -> int:
        """Return where the line that holds byte `at` ends; a line that goes on for too long is cut."""
        self._file.seek(at)
        return at + len(self._file.readline(self._limit // 8))


@contextmanager
def console_log(path: Path) -> Iterator[ConsoleLog]:
    """Begin the log of one boot anew. An OSError, also from within, comes out as DiskFull or InfraError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w+b") as file:
            yield ConsoleLog(file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no room left for {path}", hint="free some space and resume") from error
        raise InfraError(f"{path}: {error.strerror}") from error
