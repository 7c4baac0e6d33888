"""Consoles that a program prints: it gets a terminal of its own, and ends with everything that it started."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bisectbot.effects.descriptor import DescriptorWire
from bisectbot.errors import ToolMissing
from bisectbot.ports import Deadline, Proc, Running
from bisectbot.reach import Wire
from bisectbot.visible import visible

# A fixed text; what is run comes as words behind it. A program that sees a terminal writes line by line instead of by
# blocks, and ipmitool and console(1) read their terminal: with an empty stdin they would end at once.
_ON_TERMINAL = ("sh", "-c", 'exec "$@" <>"$0" >&0 2>&0')
_LOOK = 0.1  # seconds between two looks whether it still runs


class CommandLine:
    """Fits reach.Line."""

    def __init__(self, argv: Sequence[str], proc: Proc, env: Mapping[str, str] | None = None) -> None:
        self._argv = tuple(argv)
        self._proc = proc
        self._env = env
        self.what = f"command {visible(' '.join(argv), 80)}"

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[Wire]:
        """Start the program; ToolMissing if it isn't there. Whether it gets through, only its output can tell."""
        del deadline  # starting takes no time
        if self._proc.which(self._argv[0]) is None:
            raise ToolMissing(f"the program {self._argv[0]} is not installed")
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)  # no echo, and every byte as it was written
            running = self._proc.start(
                (*_ON_TERMINAL, os.ttyname(theirs), *self._argv), log=Path(os.devnull), env=self._env
            )
            try:
                yield ChildWire(ours, running)
            finally:
                running.stop()
        finally:
            for fd in (ours, theirs):
                with suppress(OSError):
                    os.close(fd)


class ChildWire:
    """Fits reach.Wire. We keep their side of the terminal open too, so the end is the child's end."""

    def __init__(self, fd: int, running: Running) -> None:
        self._wire = DescriptorWire(fd)
        self._running = running

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any, b"" once the child ended."""
        while True:
            over = self._running.poll() is not None
            data = self._wire.read(0 if over else min(patience, _LOOK))
            if data is not None or over:
                return data or b""
            if (patience := patience - _LOOK) <= 0:
                return None
