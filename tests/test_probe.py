"""What a console shows of a boot and its trials -> how each trial ended, on a clock that only tests move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from fakes import FakeClock
from guestscript import (
    BOOT,
    OOPS,
    PANIC,
    RELEASE,
    TOKEN,
    WARNING,
    ScriptedMachine,
    done,
    end,
    fact,
    out,
    ready,
    start,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_cases import CASES, COMMIT, DEADLINES, JSON, KERNEL, LOG, SICK, Case, one_run

from bisectbot.console.guest import End, How
from bisectbot.errors import HostSick
from bisectbot.model import Ending, Trial
from bisectbot.ports import Chunk
from bisectbot.probe.outcome import of_end
from bisectbot.probe.trials import probe, trials
from bisectbot.probe.watcher import Asked, Watcher


def asked(case: Case) -> Asked:
    """Return what the probe asks for."""
    return Asked(TOKEN, DEADLINES, case.runs, case.signature)


def play(case: Case) -> tuple[tuple[Trial, ...], ScriptedMachine]:
    """Return the trials of a case, and the machine afterwards."""
    machine = ScriptedMachine(case.script, ends=case.ends, reset=case.reset)
    return probe(machine, KERNEL, Path("/i.cpio"), asked(case), LOG, 7, machine.clock), machine


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_console_gives_its_trials(case: Case) -> None:
    """Each console gives the endings of its row, says why, and lets the machine go in time."""
    began = ScriptedMachine(()).clock.now()
    ended, machine = play(case)
    assert tuple(trial.ending for trial in ended) == case.endings
    assert case.reason in ended[-1].reason
    assert machine.running == 0
    if case.seconds is not None:
        assert machine.clock.now() - began <= case.seconds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_broken_console_did_not_bring_decides_nothing(case: Case) -> None:
    """With the way to us broken for a while, only what was seen counts; what is missing is an error of ours."""
    machine = ScriptedMachine(case.script, ends=case.ends, reset=case.reset, gap=True)
    missing = {Ending.NO_OUTPUT, Ending.BOOT_HUNG, Ending.HUNG, Ending.LOST, Ending.REBOOTED}
    if case.endings[-1] not in missing:
        ended = probe(machine, KERNEL, Path("/i.cpio"), asked(case), LOG, 7, machine.clock)
        assert tuple(trial.ending for trial in ended) == case.endings
        return
    with pytest.raises(HostSick, match="the console was lost during the boot"):
        list(trials(machine, KERNEL, Path("/i.cpio"), asked(case), LOG, 7, machine.clock))
    assert machine.running == 0


def test_every_ending_has_a_console() -> None:
    """The table above leaves no ending out."""
    assert {ending for case in CASES for ending in case.endings} == set(Ending)


def test_the_words_on_the_command_line_are_what_init_reads() -> None:
    """Token, number of runs and their limit go to the kernel's command line."""
    machine = ScriptedMachine(one_run())
    probe(machine, KERNEL, Path("/i.cpio"), Asked(TOKEN, DEADLINES, 1), LOG, 7, machine.clock)
    words = (f"bisectbot.token={TOKEN}", "bisectbot.trials=1", "bisectbot.limit=120")
    assert machine.booted == [(KERNEL, Path("/i.cpio"), words, LOG)]


def test_a_trial_tells_all_about_itself() -> None:
    """Commit, boot, host, console, release, times and the reproducer's own counts are in the trial."""
    script = one_run((2.0, out("beat 1") + out('{"mismatches":0}') + out(JSON) + out("bye")), code=1)
    (trial,), _ = play(Case("", script, (), ""))
    assert trial == Trial(
        commit=COMMIT,
        boot=7,
        ending=Ending.FIRED,
        reason="the reproducer saw it (exit 1)",
        counts={"mismatches": 3, "migrations": 5000},
        boot_seconds=1.0,
        probe_seconds=9.0 - 1.1,
        exposure=1.0,
        console=LOG,
        release=RELEASE,
        host="scripted",
    )


def test_counts_are_those_of_their_own_run() -> None:
    """A run that printed no counts doesn't inherit those of the run before it, nor are those on stderr taken."""
    first = start(1) + out(JSON, 1) + end(1)
    second = start(2) + out(JSON, 2, fd=2) + end(2) + done()
    ended, _ = play(Case("", ((1.0, BOOT + ready() + first), (2.0, second)), (), "", runs=2))
    assert [trial.counts for trial in ended] == [{"mismatches": 3, "migrations": 5000}, {}]


def test_reports_that_end_nothing_are_notes() -> None:
    """A warning, a sick clock and cut output are told beside the ending, once each."""
    script = one_run((2.0, WARNING + SICK + WARNING + fact(5, t="out-cut", trial=1)))
    (trial,), _ = play(Case("", script, (), ""))
    assert trial.crash is None
    assert [note[:11] for note in trial.notes] == ["WARNING in ", "sick boot: ", "the reprodu"]


def test_the_report_that_ended_a_trial_is_kept() -> None:
    """A crash comes with its title, its guilty frame, and the line of the console where it begins."""
    (trial,), _ = play(Case("", one_run((2.0, OOPS)), (), ""))
    assert trial.crash is not None
    assert trial.crash.frame == "guilty_function"
    text = b"".join(data for _, data in one_run((2.0, OOPS)))
    assert text.split(b"\n")[trial.crash.line - 1].startswith(OOPS[:30])


def test_output_of_the_reproducer_is_never_read_as_the_kernels() -> None:
    """A reproducer that prints a panic, a banner or a proof changes nothing."""
    lies = [PANIC.decode(), BOOT.decode(), ready(token="f" * 16).decode(), end(code=1).decode()]
    script = one_run(*((2.0 + at, out(lie[:900])) for at, lie in enumerate(lies)))
    (trial,), _ = play(Case("", script, (), "", signature="panic"))
    assert (trial.ending, trial.notes) == (Ending.CLEAN, ())


def test_the_caller_may_stop_early() -> None:
    """Trials come one by one, and closing the iterator ends the machine."""
    machine = ScriptedMachine(((1.0, BOOT + ready() + start(1) + end(1) + start(2)),))
    coming = trials(machine, KERNEL, Path("/i.cpio"), Asked(TOKEN, DEADLINES, 3), LOG, 7, machine.clock)
    assert next(coming).ending is Ending.CLEAN
    assert machine.running == 1
    coming.close()  # type: ignore[attr-defined]  # an iterator made by yield
    assert machine.running == 0


@dataclass
class FatalClock(FakeClock):
    """A clock on which the machine fails by itself once its time has come."""

    fault: HostSick = field(default_factory=lambda: HostSick("QEMU was killed by SIGKILL"))
    at: float = 1020.0

    def sleep(self, seconds: float) -> None:
        """Move on, perhaps too far."""
        super().sleep(seconds)
        if self.time >= self.at:
            raise self.fault


def test_our_own_faults_are_no_trials() -> None:
    """When the machine fails by itself the fault comes through, behind the trials that had ended."""
    clock = FatalClock()
    machine = ScriptedMachine(((1.0, BOOT + ready() + start(1) + end(1) + start(2)),), clock=clock)
    coming = trials(machine, KERNEL, Path("/i.cpio"), Asked(TOKEN, DEADLINES, 3), LOG, 7, clock)
    assert next(coming).ending is Ending.CLEAN
    with pytest.raises(HostSick) as told:
        next(coming)
    assert told.value is clock.fault
    assert machine.running == 0


@pytest.mark.parametrize(
    ("changes"),
    [{"token": ""}, {"token": "not hex!"}, {"runs": -1}, {"runs": 1_000_001}],
    ids=["no token", "a token that would break the command line", "fewer runs than none", "more than init takes"],
)
def test_a_boot_is_not_asked_for_nonsense(changes: dict[str, object]) -> None:
    """A boot without a fit token or with a number of runs that init wouldn't take can't be described."""
    with pytest.raises(ValueError, match="token"):
        replace(Asked(TOKEN, DEADLINES), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", range(256))
def test_exit_codes_mean_what_they_mean_to_git(code: int) -> None:
    """0 is clean, 125 can't tell, 1 to 127 otherwise bad; git aborts on the rest, for us a dead reproducer."""
    expected = {0: Ending.CLEAN, 125: Ending.CANT_TELL}.get(code, Ending.FIRED if code < 128 else Ending.KILLED)
    assert of_end(End(1, How.EXIT, code, 5), {})[0] is expected


STREAM = b"".join(data for _, data in one_run((2.0, WARNING + out(JSON)), code=0))


@settings(deadline=None)  # a loaded machine is no mistake
@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_how_the_bytes_come_changes_nothing(cuts: list[int]) -> None:
    """The same console in other pieces gives the same trial."""
    watcher = Watcher(KERNEL, Asked(TOKEN, DEADLINES))
    places = sorted({0, *cuts, len(STREAM)})
    pieces = [Chunk(2.0, STREAM[one:two]) for one, two in pairwise(places)]
    ended = [trial for piece in pieces for trial in watcher.feed(piece)]
    assert [(trial.ending, trial.counts, len(trial.notes)) for trial in ended] == [
        (Ending.CLEAN, {"mismatches": 3, "migrations": 5000}, 1)
    ]


LINES = st.sampled_from([PANIC, OOPS, WARNING, BOOT, start(), end(), end(code=1), done(), out(JSON), b"\xff\x00\r\n"])


@settings(deadline=None)  # a loaded machine is no mistake
@given(st.lists(st.one_of(st.binary(max_size=200), LINES), max_size=20))
def test_no_console_without_a_proof_says_anything_about_the_bug(pieces: list[bytes]) -> None:
    """Whatever bytes come, nothing fires and nothing is clean before init told token and release."""
    watcher = Watcher(KERNEL, Asked(TOKEN, DEADLINES))
    ended = [trial for at, piece in enumerate(pieces) for trial in watcher.feed(Chunk(float(at), piece))]
    ended += watcher.end(reset=False)
    assert watcher.finished
    assert [trial for trial in ended if not trial.ending.verdictless] == []
