"""How far it is, on stderr: one line that is rewritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_BETWEEN_LINES = 15.0  # seconds, where lines stay
_BETWEEN_LOOKS = 0.5
_FROM_SHARE = 0.02  # before that an estimate is a guess


class Progress:
    """Told what share is done; says so now and then, with the time that is left."""

    def __init__(self, title: str, out: TextIO = sys.stderr) -> None:
        self._title, self._out = title, out
        self._began = time.monotonic()
        self._told = self._began - _BETWEEN_LINES / 2
        self._rewrites = out.isatty()

    def at(self, share: float, what: str = "") -> None:
        """Say that this share (0 to 1) is done, if it is time to say something."""
        now = time.monotonic()
        if now - self._told >= (_BETWEEN_LOOKS if self._rewrites else _BETWEEN_LINES):
            self._told = now
            self._say(f"{self._title}: {share:4.0%}, {self._left(share, now - self._began)}{what and '; ' + what}")

    def over(self, what: str = "") -> None:
        """Say that all is done."""
        self._say(f"{self._title}: done after {time.monotonic() - self._began:.0f} s{what and '; ' + what}")
        if self._rewrites:
            print(file=self._out)

    def _left(self, share: float, elapsed: float) -> str:
        if share < _FROM_SHARE:
            return f"{elapsed:.0f} s so far"
        return f"about {elapsed / share - elapsed:.0f} s left"

    def _say(self, line: str) -> None:
        print(f"\r{line}\033[K" if self._rewrites else line, end="" if self._rewrites else "\n", file=self._out)
        self._out.flush()
