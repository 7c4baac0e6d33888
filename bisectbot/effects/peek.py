"""Looking at what other processes work on without getting in their way: nothing is locked, written or waited for."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_LOCKS = Path("/proc/locks")
_FIELDS = 6  # "1: FLOCK ADVISORY WRITE 1234 fe:00:16130093 0 EOF": up to the file


def holders() -> Mapping[int, int]:
    """Return who holds exclusive flocks on this machine: inode -> process. Asking doesn't take any, as a lock would."""
    found = {}
    with suppress(OSError):
        for line in _LOCKS.read_text().splitlines():
            words = line.split()
            if len(words) > _FIELDS and words[1:2] == ["FLOCK"] and words[3] == "WRITE":
                found[int(words[5].rpartition(":")[2])] = int(words[4])
    return found


def is_held(lock: Path, held: Mapping[int, int]) -> bool:
    """Whether a lock of ours (see lock.py) is among those: its holder has written its number into it."""
    try:
        pid = held.get(lock.stat().st_ino)
        return pid is not None and lock.read_text(errors="replace").strip() in (str(pid), "")
    except OSError:
        return False


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file does: inode, length, time; zeros if it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def last_bytes(path: Path, most: int) -> bytes:
    """Return the end of a file, at most so many bytes; nothing if it is no file or can't be read."""
    try:
        # not blocking: a named pipe would wait for its writer
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return b""
        return os.pread(fd, most, max(0, found.st_size - most))
    except OSError:
        return b""
    finally:
        os.close(fd)
