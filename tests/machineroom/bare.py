"""A machine that is only a firmware, a card and a disk: switched on for a moment, its serial port read from a file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bisectbot.console.guest import GuestReader, Ready

_SECONDS = 60.0  # until a console says something; the slowest takes 35 on a busy machine


@dataclass
class Console:
    """A machine's serial port, as it is written to a file."""

    log: Path
    read: int = 0

    def until(self, wanted: bytes, seconds: float = _SECONDS) -> float:
        """Wait for bytes and go on behind them; returns the seconds it took, fails the test if they don't come."""
        began = time.monotonic()
        while wanted not in (said := self._new()):
            assert time.monotonic() - began < seconds, f"no {wanted!r} in: {said[-1500:].decode(errors='replace')}"
            time.sleep(0.05)
        self.read += said.index(wanted) + len(wanted)
        return time.monotonic() - began

    def _new(self) -> bytes:
        return self.log.read_bytes()[self.read :]

    def greets(self, token: str) -> float:
        """Wait for the init of the candidate with this token; returns the seconds it took."""
        took = self.until(f'"token":"{token}"'.encode()) + self.until(b"\n")
        facts = GuestReader().feed(self.log.read_bytes())
        assert any(isinstance(fact, Ready) and fact.token == token for fact in facts)
        return took


@contextmanager
def running(folder: Path, words: Sequence[str]) -> Iterator[Console]:
    """Switch a machine on; it ends with the context."""
    log = folder / "serial.log"
    log.write_bytes(b"")
    argv = [
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-cpu",
        "EPYC,+svm",
        "-machine",
        "pc",
        "-m",
        "512",
        "-smp",
        "2,sockets=2",
    ]
    argv += [
        "-smp",
        "2,sockets=2",
        "-display",
        "none",
        "-monitor",
        "none",
        "-chardev",
        f"file,id=com,path={log}",
        "-serial",
        "chardev:com",
    ]
    with (
        (folder / "qemu.log").open("wb") as out,
        subprocess.Popen([*argv, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out) as qemu,
    ):
        try:
            yield Console(log)
        finally:
            qemu.kill()
