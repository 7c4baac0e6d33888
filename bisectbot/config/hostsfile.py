"""Which hosts.toml is in force, and its text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bisectbot import places
from bisectbot.errors import ConfigError

_BIGGEST = 1 << 20
_HINT = "give --hosts the path of a hosts.toml"


def find() -> Path:
    """Return the hosts.toml of this folder, else the user's own, else the one that came with bisectbot."""
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111  (never raises)
    for file in (Path("hosts.toml"), Path(own) / "bisectbot" / "hosts.toml"):
        # A link that leads nowhere was meant to be used: reading it says what is wrong.
        if os.path.lexists(file):
            return file
    return packaged()


def packaged() -> Path:
    """Return the hosts.toml that came with bisectbot."""
    return places.data("hosts.toml")


def text(file: Path) -> str:
    """Return what a hosts.toml says, lines ending with a newline only; ConfigError if it can't be read as text."""
    raw = _bytes(file)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{file}:{line}: not UTF-8, which TOML has to be", hint="save it as UTF-8") from error


def _bytes(file: Path) -> bytes:
    try:
        # A FIFO would be waited for without end.
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError(f"{file} is not a file", hint=_HINT)
        with file.open("rb") as opened:
            raw = opened.read(_BIGGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{file} can't be read: {error.strerror}", hint="correct the path or its permissions, or give --hosts FILE"
        ) from error
    if len(raw) > _BIGGEST:
        raise ConfigError(f"{file} is larger than 1 MiB", hint=_HINT)
    return raw
