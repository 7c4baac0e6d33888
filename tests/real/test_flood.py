"""Real guests whose init floods the console: given up in time, with a bounded log, and no evidence of anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bisectbot.arch import traits
from bisectbot.boot import initramfs
from bisectbot.boot.accel import Answers
from bisectbot.boot.qemu import QemuMachine
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import LIMIT, console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.proc import Processes
from bisectbot.model import Accel, Arch, Deadlines, Ending, Kernel, QemuHost
from bisectbot.probe.trials import probe
from bisectbot.probe.watcher import Asked
from csrc import compile_one

pytestmark = pytest.mark.real
_BOOT = 20.0  # seconds


@pytest.mark.parametrize("how", ["lines", "rubbish"])
def test_a_guest_that_floods_its_console_is_given_up(
    kernel: Callable[[Arch, str], Kernel], tmp_path: Path, how: str
) -> None:
    """It takes no longer than a guest that hangs, and what it printed is no evidence."""
    row, program = traits(Arch.X86_64), compile_one("flood", tmp_path, Arch.X86_64).read_bytes()
    archive, log, clock = tmp_path / "initramfs", tmp_path / "console.log", SystemClock()
    archive.write_bytes(initramfs.pack(program, program))
    words = ("tsc_early_khz=2600000", "--", how)  # what follows is the program's
    host = QemuHost(
        "sut", Arch.X86_64, cpu=row.cpu, machine=row.machine, accel=Accel.TCG, memory_mib=256, cmdline=words
    )
    answers = Answers(tmp_path / "accel.json")
    machine = QemuMachine(host, proc=Processes(), clock=clock, pipe=fifo, log=console_log, answers=answers)
    asked = Asked("deadbeef", Deadlines(boot=_BOOT, silence=_BOOT, heartbeat=_BOOT, run=_BOOT))
    began = clock.now()
    (trial,) = probe(machine, kernel(Arch.X86_64, "good"), archive, asked, log, 1, clock)
    assert trial.ending is Ending.BOOT_HUNG
    assert trial.ending.verdictless
    assert clock.now() - began < _BOOT + 20.0
    assert 10_000 < log.stat().st_size <= LIMIT * 1.1
