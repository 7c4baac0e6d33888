"""What a guest prints, for tests: facts as our init writes them, kernel lines, and a machine that plays them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from fakes import FakeClock

from bisectbot.model import Kernel
from bisectbot.ports import Chunk

TOKEN = "0123456789abcdef"  # noqa: S105  (proves a boot, opens nothing)
RELEASE = "6.1.0-bb-aaaaaaaaaaaa"

Script = Sequence[tuple[float, bytes]]
"""When (seconds since the start), and what comes then."""


def fact(seq: int, *, times: int = 1, **fields: object) -> bytes:
    """Return a fact's line, as often as init prints it."""
    text = json.dumps(fields, separators=(",", ":")).encode()
    return b"@bb %d %08x %s\r\n" % (seq, crc32(text), text) * times


def ready(token: str = TOKEN, release: str = RELEASE) -> bytes:
    """Return the proof of a boot."""
    return fact(1, times=3, t="ready", v=1, release=release, machine="x86_64", token=token, cpus=2)


def start(trial: int = 1) -> bytes:
    """Return that a run begins."""
    return fact(10 * trial, t="start", trial=trial)


def beat(trial: int, seconds: int) -> bytes:
    """Return a heartbeat."""
    return fact(1000 * trial + seconds, t="beat", trial=trial, s=seconds)


def out(line: str, trial: int = 1, fd: int = 1) -> bytes:
    """Return a line that the reproducer printed."""
    return fact(10 * trial + 1, t="out", trial=trial, fd=fd, line=line)


def end(trial: int = 1, how: str = "exit", code: int = 0, ms: int = 1000) -> bytes:
    """Return how a run ended."""
    return fact(10 * trial + 2, times=3, t="end", trial=trial, how=how, code=code, ms=ms)


def done() -> bytes:
    """Return init's last word."""
    return fact(9999, times=3, t="done")


def banner(release: str = RELEASE) -> bytes:
    """Return a kernel's first line."""
    return b"[    0.000000] Linux version " + release.encode() + b" (bot@host) (gcc 12.2.0, GNU ld 2.40) #1 SMP\r\n"


def cmdline(token: str = TOKEN) -> bytes:
    """Return the line with which a kernel tells its command line."""
    return b"[    0.010000] Kernel command line: console=ttyS0 panic=-1 bisectbot.token=" + token.encode() + b"\r\n"


BOOT = banner() + cmdline()

PANIC = b"".join(
    b"[    1.0%05d] %s\r\n" % (number, text)
    for number, text in enumerate(
        (
            b"Kernel panic - not syncing: bisectbot test panic",
            b"CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1",
            b"Hardware name: QEMU Standard PC",
            b"Call Trace:",
            b" <TASK>",
            b" dump_stack_lvl+0x34/0x48",
            b" panic+0x102/0x27e",
            b" guilty_function+0x8/0x10",
            b" kernel_init+0x11/0x130",
            b" </TASK>",
            b"---[ end Kernel panic - not syncing: bisectbot test panic ]---",
        )
    )
)

OOPS = b"".join(
    b"[    2.0%05d] %s\r\n" % (number, text)
    for number, text in enumerate(
        (
            b"BUG: kernel NULL pointer dereference, address: 0000000000000008",
            b"#PF: supervisor read access in kernel mode",
            b"#PF: error_code(0x0000) - not-present page",
            b"Oops: 0000 [#1] SMP",
            b"CPU: 1 PID: 55 Comm: reproducer Not tainted 6.1.0 #1",
            b"RIP: 0010:guilty_function+0x8/0x10",
            b"Call Trace:",
            b" <TASK>",
            b" vfs_write+0x11/0x130",
            b" do_syscall_64+0x3a/0x90",
            b" </TASK>",
            b"---[ end trace 0000000000000000 ]---",
        )
    )
)

WARNING = b"".join(
    b"[    2.0%05d] %s\r\n" % (number, text)
    for number, text in enumerate(
        (
            b"------------[ cut here ]------------",
            b"WARNING: CPU: 0 PID: 1 at kernel/odd.c:33 odd_function+0x8/0x10",
            b"CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1",
            b"RIP: 0010:odd_function+0x8/0x10",
            b"Call Trace:",
            b" <TASK>",
            b" kernel_init+0x11/0x130",
            b" </TASK>",
            b"---[ end trace 0000000000000000 ]---",
        )
    )
)


class ScriptedConsole:
    """Plays a script on a fake clock; fits ports.Console. Without an end it stays silent for ever."""

    def __init__(self, machine: ScriptedMachine) -> None:
        self.reset = machine.reset
        self.gap = machine.gap
        self._machine = machine

    def chunks(self, patience: float) -> Iterator[Chunk | None]:
        """Yield what the script says when its time has come."""
        clock = self._machine.clock
        began = clock.now()
        for at, data in self._machine.script:
            while clock.now() - began + patience < at:
                clock.sleep(patience)
                yield None
            clock.sleep(max(0.0, began + at - clock.now()))
            yield Chunk(at, data)
        while not self._machine.ends:
            clock.sleep(patience)
            yield None


@dataclass
class ScriptedMachine:
    """A machine that prints what it is told to; fits ports.Machine."""

    script: Script
    ends: bool = False  # the console ends behind the script
    reset: bool = False  # the machine reset itself then
    gap: bool = False  # its console was lost for a while
    name: str = "scripted"
    leavable: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    booted: list[tuple[Kernel, Path, tuple[str, ...], Path]] = field(default_factory=list)
    running: int = 0

    @contextmanager
    def boot(self, kernel: Kernel, initramfs: Path, cmdline: Sequence[str], log: Path) -> Iterator[ScriptedConsole]:
        """Record what was asked and play."""
        self.booted.append((kernel, initramfs, tuple(cmdline), log))
        self.running += 1
        try:
            yield ScriptedConsole(self)
        finally:
            self.running -= 1

    def homed(self) -> None:
        """Have no home to come to."""

    def stop(self) -> None:
        """Have nothing to stop."""
