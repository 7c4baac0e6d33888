"""Where things are: the data that travels with the package, the cache, and the session folders."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data(name: str) -> Path:
    """Return `kconfigs`, `csrc` or `hosts.toml`: the wheel carries them in data/, a checkout at its top level."""
    packed = _PACKAGE / "data" / name
    return packed if packed.exists() else _PACKAGE.parent / name


def cache() -> Path:
    """Return the folder of everything that can be made again: kernels, worktrees, ccache, probe answers."""
    if chosen := os.environ.get("BISECTBOT_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(base).expanduser() / "bisectbot").absolute()
