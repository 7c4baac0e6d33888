"""Files that a reader may open at any moment: replaced as a whole, never half written."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from bisectbot.errors import DiskFull, InfraError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def replace_text(path: Path, text: str) -> None:
    """Make `text` (as UTF-8) the content of `path` in one step; DiskFull or InfraError, and the old content, otherwise.

    The new file grows beside the old one under a fixed name, so that what a killed run leaves is overwritten by the
    next. One writer at a time: whoever writes holds the session's lock.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        _write(new, text.encode(errors="surrogateescape"))
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise _fault(path, error) from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        # a rename may reach the disk before the bytes do
        os.fsync(file.fileno())


def _fault(path: Path, error: OSError) -> InfraError:
    if error.errno in _NO_ROOM:
        return DiskFull(f"{path}: no space left on the disk", hint="free some disk space, then: bisectbot resume")
    return InfraError(f"{path}: {error.strerror}", hint="see that the folder can be written to, then: bisectbot resume")
