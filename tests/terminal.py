"""A terminal of our own: a command runs in it, and what stands on its screen can be read."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyte

_PATIENCE = 30.0  # seconds: a machine that has much to do
_ROOT = str(Path(__file__).parents[1])


@dataclass
class Terminal:
    """A running command and its screen."""

    child: subprocess.Popen[bytes]
    fd: int
    screen: pyte.Screen
    raw: bytes = b""
    before: list[object] = field(default_factory=list)
    patience: float = _PATIENCE

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    @property
    def lines(self) -> list[str]:
        """What stands there now."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def until(self, seen: Callable[[str], bool]) -> str:
        """Read on until that can be seen; fail with what is there if it never comes."""
        end = time.monotonic() + self.patience
        while not seen(self.text):
            assert time.monotonic() < end, f"not seen; instead:\n{self.text}"
            self._read()
        return self.text

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.fd, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size."""
        _size(self.fd, rows, columns)
        self.screen.resize(rows, columns)

    def end(self, number: int | None = None) -> int:
        """Wait for the end, after a signal if one is given; return the exit code."""
        if number is not None:
            self.child.send_signal(number)
        end = time.monotonic() + self.patience
        while self.child.poll() is None:
            assert time.monotonic() < end, f"still there:\n{self.text}"
            self._read()
        self._read()
        return self.child.returncode

    def modes(self) -> list[object]:
        """Return how the terminal is set."""
        return [*termios.tcgetattr(self.fd)]

    def _read(self) -> None:
        ready, _, _ = select.select([self.fd], [], [], 0.05)
        with suppress(OSError):  # whoever wrote is gone
            data = os.read(self.fd, 1 << 16) if ready else b""
            self.raw += data
            self._stream.feed(data)


@contextmanager
def terminal(words: Sequence[str | Path], rows: int = 24, columns: int = 80, **env: str) -> Iterator[Terminal]:
    """Run `bisectbot` in a terminal of this size; it is ended when this is left."""
    ours, theirs = pty.openpty()
    _size(ours, rows, columns)
    before = [*termios.tcgetattr(ours)]
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONPATH": _ROOT, **env}
    environment.pop("COLUMNS", None)
    # makes the terminal the child's own, so that Ctrl-C and a hang-up come through it
    argv = ["setsid", "--ctty", sys.executable, "-m", "bisectbot", *map(str, words)]
    child = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    shown = Terminal(child, ours, pyte.Screen(columns, rows), before=before)
    try:
        yield shown
    finally:
        child.kill()
        child.wait()
        os.close(theirs)
        os.close(ours)


def _size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
