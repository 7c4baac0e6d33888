"""Long boots of a real kernel in real QEMU: what counts as time at work, and that a boot can be left at any moment."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bisectbot.arch import traits
from bisectbot.boot import initramfs
from bisectbot.boot.accel import Answers
from bisectbot.boot.qemu import QemuMachine
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.proc import Processes
from bisectbot.model import Accel, Arch, Deadlines, Ending, Kernel, QemuHost, Trial
from bisectbot.probe.trials import trials
from bisectbot.probe.watcher import Asked
from csrc import ours

pytestmark = pytest.mark.real

TOKEN = "0123456789abcdef"  # noqa: S105  (proves a boot, opens nothing)
DEADLINES = Deadlines(boot=60.0, silence=30.0, heartbeat=20.0, run=60.0)
CMDLINE = {Arch.X86_64: ("tsc_early_khz=2600000",), Arch.AARCH64: ()}
RUNS = 10_000  # far more than anybody waits for


@dataclass
class Long:
    """A boot of very many runs, left at a moment of our choice."""

    folder: Path
    arch: Arch
    kernel: Kernel
    clock: SystemClock = field(default_factory=SystemClock)
    leave_at: float = float("inf")

    def boot(self, *args: str, after: int, seconds: float) -> list[Trial]:
        """Return the trials of a boot that is left so long after so many trials."""
        archive, programs = self.folder / "initramfs", ours(self.arch)
        archive.write_bytes(initramfs.pack(programs.init.read_bytes(), programs.reproducer.read_bytes(), args))
        asked, log, told = Asked(TOKEN, DEADLINES, RUNS), self.folder / "001.log", []
        left = lambda: self.clock.now() >= self.leave_at  # noqa: E731  a question, not a step of the test
        for trial in trials(self._machine(), self.kernel, archive, asked, log, 1, self.clock, left):
            told.append(trial)
            if len(told) == after:
                self.leave_at = self.clock.now() + seconds
        return told

    def _machine(self) -> QemuMachine:
        row = traits(self.arch)
        host = QemuHost("sut", self.arch, cpu=row.cpu, machine=row.machine, accel=Accel.TCG, cmdline=CMDLINE[self.arch])
        answers = Answers(self.folder / "accel.json")
        return QemuMachine(host, proc=Processes(), clock=self.clock, pipe=fifo, log=console_log, answers=answers)


@pytest.fixture(params=Arch)
def long(request: pytest.FixtureRequest, kernel: Callable[[Arch, str], Kernel], tmp_path: Path) -> Long:
    """Return the good kernel of each architecture."""
    return Long(tmp_path, request.param, kernel(request.param, "good"))


def _children() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: S607


def test_a_boot_is_left_between_short_runs(long: Long) -> None:
    """Runs go on until it is left, each clean with its own seconds; then QEMU is gone within a moment."""
    began = long.clock.now()
    told = long.boot("--migrations", "1", after=20, seconds=1.0)
    assert 0 <= long.clock.now() - long.leave_at < 2.0
    assert {trial.ending for trial in told} == {Ending.CLEAN}
    assert 20 < len(told) < RUNS
    assert 0 < sum(trial.exposure for trial in told) < long.leave_at - began
    assert str(long.folder) not in _children()


def test_a_boot_is_left_within_a_long_run(long: Long) -> None:
    """The run that was on isn't told, and nobody waits for its end."""
    told = long.boot("--seconds", "4", after=1, seconds=1.5)
    assert long.clock.now() - long.leave_at < 2.0
    assert [trial.ending for trial in told] == [Ending.CLEAN]
    assert told[0].exposure == pytest.approx(4.0, abs=0.5)
