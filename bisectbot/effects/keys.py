"""Single keys from a terminal, as they are pressed; the terminal is put back as it was, whatever happens."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_MOST = 32  # bytes: an arrow is three
_NAMES = {b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down"}

Keys = Callable[[float], str]


@contextmanager
def pressed() -> Iterator[Keys]:
    """Give a function that waits for a key for so many seconds: its letter, "up" or "down"; "" if there was none.

    Without a terminal on stdin it only waits.
    """
    if not sys.stdin.isatty():
        yield _none
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSADRAIN)  # Ctrl-C stays a signal
        yield lambda patience: _key(fd, patience)
    finally:
        with suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _none(patience: float) -> str:
    time.sleep(patience)
    return ""


def _key(fd: int, patience: float) -> str:
    ready, _, _ = select.select([fd], [], [], max(0.0, patience))
    if not ready:
        return ""
    data = os.read(fd, _MOST)
    if not data:  # the terminal is gone
        return "q"
    return _NAMES.get(data[:3]) or data[:1].decode("ascii", errors="replace")
