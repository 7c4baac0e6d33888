"""Locks that die with their holder: flock(2), so that nothing is left to clear after a kill -9."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bisectbot.errors import Busy

_LOOKS, _MOMENT = 5, 0.01  # how often, and how many seconds apart


class Lock:
    """An exclusive lock on a file, held until released or until the process is gone."""

    def __init__(self, path: Path, what: str) -> None:
        """Take the lock or raise Busy at once, naming `what` is held and by which process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # close-on-exec, as all of Python's: a child doesn't hold on to it
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _taken(self._handle):
            holder = os.read(self._handle, 32).decode(errors="replace").strip()
            os.close(self._handle)
            raise Busy(
                f"{what} is in use by another bisectbot (pid {holder or 'unknown'})",
                hint="wait for it, or see what it does: bisectbot status",
            )
        with suppress(OSError):  # it holds on a full disk too, without a name on it
            os.truncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _taken(handle: int) -> bool:
    """Whether the lock is ours now. Who only asks whether it is held (is_held) holds it for a moment too."""
    for _ in range(_LOOKS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_MOMENT)
        else:
            return True
    return False


def holder(path: Path) -> int | None:
    """Return the pid that the holder of a lock gave, None if nobody holds it; in a container it had another number."""
    if not is_held(path):
        return None
    text = path.read_text(errors="replace").strip()
    return int(text) if text.isdecimal() else None


def holds(pid: int, path: Path) -> bool:
    """Whether the process with this number, here, has the lock's file open: whether a signal reaches the right one."""
    with suppress(OSError):
        return any(_same(handle, path) for handle in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _same(handle: Path, path: Path) -> bool:
    try:
        return handle.samefile(path)
    except OSError:
        return False


def first_free(paths: list[Path], what: str) -> tuple[Path, Lock]:
    """Return the first of `paths` whose lock is free, with the lock taken; Busy if none is."""
    for path in paths[:-1]:
        try:
            return path, Lock(path, what)
        except Busy:
            continue
    return paths[-1], Lock(paths[-1], what)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock; asking doesn't take it."""
    with suppress(OSError), path.open("rb") as handle:  # it may be gone, and its folder, too
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
