"""A console that something else appends to a file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from bisectbot.errors import HostSick
from bisectbot.lab import FileConsole
from bisectbot.ports import Deadline

_ROOM = 1 << 16
_LOOK = 0.05  # seconds between two looks at the file


class FileLine:
    """Fits reach.Line."""

    def __init__(self, console: FileConsole) -> None:
        self._path = console.path
        self.what = f"file {console.path}"

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[Tail]:
        """Listen to what is appended from now on. A file that isn't there yet is read whole once it is.

        HostSick if its folder isn't there, or it can't be read.
        """
        del deadline  # opening a file takes no time
        if not self._path.parent.is_dir():
            raise HostSick(f"{self.what}: there is no such folder")
        if self._path.exists() and not self._path.is_file():
            raise HostSick(f"{self.what}: isn't a regular file")
        try:
            with Tail(self._path) as tail:
                yield tail
        except OSError as error:
            raise HostSick(f"{self.what}: {error.strerror}") from error


class Tail:
    """Follows a path: a new file in its place is read from its beginning, and so is one that became shorter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def __enter__(self) -> Self:
        if (found := self._opened()) is not None:
            self._fd = found
            os.lseek(found, 0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any; it never ends."""
        until = time.monotonic() + patience
        while not (data := self._more()):
            if (left := until - time.monotonic()) <= 0:
                return None
            time.sleep(min(_LOOK, left))
        return data

    def _more(self) -> bytes:
        if data := self._rest():
            return data
        if self._fd is not None and os.fstat(self._fd).st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)
        elif not self._same() and (found := self._opened()) is not None:
            last = self._rest()  # what was written between our last look and the new file
            if self._fd is not None:
                os.close(self._fd)
            self._fd = found
            return last or self._rest()
        return self._rest()

    def _rest(self) -> bytes:
        return os.read(self._fd, _ROOM) if self._fd is not None else b""

    def _same(self) -> bool:
        try:
            return self._fd is not None and os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return True  # between two files: the old one may still be written to

    def _opened(self) -> int | None:
        try:
            # not blocking: a named pipe would wait for its writer
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
