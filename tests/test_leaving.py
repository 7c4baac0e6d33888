"""A boot that is left early: what had ended counts, what was on doesn't, and no other boot notices."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from buildsite import Site
from fakes import FakeClock, a_kernel, a_plan
from guestscript import (
    BOOT,
    OOPS,
    TOKEN,
    Script,
    ScriptedConsole,
    ScriptedMachine,
    banner,
    beat,
    done,
    end,
    out,
    ready,
    start,
)
from probe_cases import DEADLINES, KERNEL, LOG

from bisectbot.boot.qemu import QemuConsole
from bisectbot.crew import BootAsk
from bisectbot.effects.consolelog import ConsoleLog
from bisectbot.effects.retry import Patience
from bisectbot.errors import InfraError
from bisectbot.lab import Homed
from bisectbot.model import Ending, Kernel, Range, Trial
from bisectbot.probe.trials import trials
from bisectbot.probe.watcher import Asked, Watcher
from bisectbot.session import Folder
from bisectbot.stages import LocalStages

TWO_AND_A_HALF: Script = (
    (1.0, BOOT + ready() + start(1)),
    (3.0, end(1, ms=2000) + start(2)),
    (5.0, end(2, ms=2000) + start(3)),
    *((5.0 + second, beat(3, second)) for second in range(1, 90)),
)


def leave_at(machine: ScriptedMachine, seconds: float) -> Callable[[], bool]:
    """Return whether it is so late."""
    began = machine.clock.now()
    return lambda: machine.clock.now() - began >= seconds


def played(script: Script, seconds: float, signature: str | None = None) -> tuple[list[Trial], float]:
    """Return the trials of a boot that is left then, and when the machine was ended."""
    machine = ScriptedMachine(script)
    began = machine.clock.now()
    asked = Asked(TOKEN, DEADLINES, 1000, signature)
    left = leave_at(machine, seconds)
    ended = list(trials(machine, KERNEL, Path("/i.cpio"), asked, LOG, 7, machine.clock, left))
    assert machine.running == 0
    return ended, machine.clock.now() - began


def test_what_had_ended_is_told_and_what_was_on_is_not() -> None:
    """Left in its third run, a boot gives two trials, within a tick."""
    ended, seconds = played(TWO_AND_A_HALF, 8.1)
    assert [(trial.ending, trial.exposure) for trial in ended] == [(Ending.CLEAN, 2.0)] * 2
    assert 8.1 <= seconds <= 8.1 + 0.25 + 0.01


def test_a_run_that_ended_just_now_still_counts() -> None:
    """The moment is waited for after which it is known that no crash comes behind it."""
    ended, seconds = played(((1.0, BOOT + ready() + start(1)), (3.0, end(1, ms=2000))), 3.0)
    assert [trial.ending for trial in ended] == [Ending.CLEAN]
    assert seconds <= 3.0 + 0.5 + 0.26


def test_a_bug_that_is_being_reported_still_counts() -> None:
    """Leaving doesn't cut a crash report that may be the bug's."""
    ended, seconds = played(((1.0, BOOT + ready() + start(1)), (3.0, OOPS)), 3.0, signature="guilty")
    assert [trial.ending for trial in ended] == [Ending.FIRED]
    assert seconds <= 3.0 + 1.5 + 0.26


def test_words_without_end_do_not_hold_it() -> None:
    """A kernel that goes on to print what may be a report is left all the same."""
    flood = tuple((3.0 + at / 5, b"[    9.0] some driver: error: again\r\n") for at in range(1000))
    ended, seconds = played(((1.0, BOOT + ready() + start(1)), *flood), 4.0)
    assert ended == []
    assert seconds <= 4.0 + 1.5 + 0.26


def test_a_boot_can_be_left_before_its_kernel_is_up() -> None:
    """Nothing is told then, and nothing is held against the kernel."""
    ended, seconds = played(((0.5, banner()),), 2.0)
    assert ended == []
    assert seconds <= 2.26


def test_a_boot_that_is_left_before_it_began_starts_no_machine() -> None:
    """It ends at once."""
    machine = ScriptedMachine(TWO_AND_A_HALF)
    asked = Asked(TOKEN, DEADLINES, 1000)
    assert list(trials(machine, KERNEL, Path("/i.cpio"), asked, LOG, 7, machine.clock, lambda: True)) == []
    assert machine.booted == []


class Loyal(ScriptedMachine):
    """A machine that runs twice and then for long; it proves that it is what was booted."""

    @contextmanager
    def boot(self, kernel: Kernel, initramfs: Path, cmdline: Sequence[str], log: Path) -> Iterator[ScriptedConsole]:
        """Play the script above, with this token and release."""
        token = dict(word.split("=", 1) for word in cmdline)["bisectbot.token"]
        proof = banner(kernel.release) + ready(token, kernel.release) + start(1)
        self.script = ((1.0, proof), *TWO_AND_A_HALF[1:])
        with super().boot(kernel, initramfs, cmdline, log) as console:
            yield console


@dataclass
class Booth:
    """Stages with such a machine."""

    stages: LocalStages
    machine: Loyal

    def boot(self, number: int, on_trial: Callable[[Trial], None] | None = None) -> list[Trial]:
        """Return what a boot tells; a fault is none of the endings here."""
        told: list[Trial] = []

        def tell(one: Trial | Homed) -> None:
            assert isinstance(one, Trial)
            told.append(one)
            if on_trial:
                on_trial(one)

        faults: list[InfraError] = []
        self.stages.boot(BootAsk(a_kernel("a" * 40), number, 1000), tell, faults.append)
        assert faults == []
        return told


@pytest.fixture
def booth(site: Site, tmp_path: Path) -> Booth:
    """Return stages of which only the machine is used."""
    machine = Loyal(())
    plan = a_plan(site.linux.path, Range(site.linux.first, (site.linux.first,)))
    folder, patience = Folder(tmp_path / "session"), Patience(first_wait=0)
    made = LocalStages(
        plan,
        folder,
        site.builder(),
        machine,
        tmp_path / "i",
        machine.clock,
        patience,
        site.proc,
        build_seconds=60.0,
        reverter=lambda _bad, _culprit: None,
    )
    return Booth(made, machine)


def test_a_boot_is_left_by_its_number(booth: Booth) -> None:
    """Asked while the first trial is told, the boot ends behind it, and the machine with it."""
    told = booth.boot(7, lambda _: booth.stages.leave(7))
    assert [trial.ending for trial in told] == [Ending.CLEAN]
    assert booth.machine.running == 0


def test_leaving_one_boot_does_no_harm_to_another(booth: Booth) -> None:
    """Neither one that is over nor one that never came makes a later boot end early."""
    booth.stages.leave(6)
    booth.stages.leave(8)
    assert booth.boot(7)[-1].ending is Ending.HUNG
    booth.stages.leave(7)
    assert booth.boot(9)[-1].ending is Ending.HUNG


def test_a_boot_left_before_it_began_ends_at_once(booth: Booth) -> None:
    """It was asked for, its thread hasn't come to it yet, and nobody wants it any more."""
    booth.stages.leave(7)
    assert booth.boot(7) == []
    assert booth.machine.booted == []


def test_a_machine_that_is_dear_to_leave_is_not_left(booth: Booth) -> None:
    """A real machine comes home by itself at the end of its runs."""
    booth.machine.leavable = False
    booth.stages.leave(7)
    assert not booth.stages.leavable
    assert booth.boot(7)[-1].ending is Ending.HUNG


@dataclass
class Played:
    """A pipe and the QEMU behind it; fits ports.ConsolePipe and ports.Running."""

    pieces: list[bytes]
    clock: FakeClock
    path: Path = Path("/none")
    pid: int = 1

    def read(self, patience: float) -> bytes | None:
        """Return the next piece."""
        self.clock.sleep(min(patience, 0.05))
        return self.pieces.pop(0) if self.pieces else b""

    def poll(self) -> int | None:
        """Return that it goes on as long as there is anything to read."""
        return None if self.pieces else 0

    def stop(self) -> int:
        """Have nothing to stop."""
        return 0


def test_a_full_log_keeps_no_fact_away(tmp_path: Path) -> None:
    """The log of a boot of very many runs is bounded, and each run counts."""
    runs = 1000
    pieces = [BOOT + ready()]
    pieces += [start(n) + out('{"seconds":0.01}', n) + end(n, ms=20) for n in range(1, runs + 1)]
    played = Played([*pieces, done()], FakeClock())
    (told := tmp_path / "told").write_text("")
    file = io.BytesIO()
    console = QemuConsole(played, played, ConsoleLog(file, limit=20_000), played.clock, told)
    watcher = Watcher(KERNEL, Asked(TOKEN, DEADLINES, runs))
    ended = [trial for chunk in console.chunks(0.25) if chunk for trial in watcher.feed(chunk)]
    assert [trial.ending for trial in ended] == [Ending.CLEAN] * runs
    assert sum(trial.exposure for trial in ended) == pytest.approx(0.01 * runs)
    assert b"left out" in file.getvalue()
    assert len(file.getvalue()) <= 20_200
