"""Data as words of a script that people paste into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from bisectbot.visible import visible

_TOKEN = "bisectbot.token="  # noqa: S105  a word on the kernel command line, not a secret


def quoted(text: str | Path) -> str:
    """Return `text` as one word."""
    return shlex.quote(visible(str(text), 2000))


def without_token(cmdline: str) -> str:
    """Return a kernel command line without the word that proves a boot is the bot's own."""
    return " ".join(word for word in cmdline.split() if not word.startswith(_TOKEN))
