"""What counts as time at work: the exposure of each trial, whatever a guest, its clock or its reproducer tell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from guestscript import (
    BOOT,
    OOPS,
    PANIC,
    TOKEN,
    WARNING,
    Script,
    ScriptedMachine,
    beat,
    done,
    end,
    fact,
    out,
    ready,
    start,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_cases import CASES, DEADLINES, KERNEL, LOG, Case, one_run

from bisectbot.model import Ending, Trial
from bisectbot.ports import Chunk
from bisectbot.probe.trials import probe
from bisectbot.probe.watcher import Asked, Watcher


@dataclass(frozen=True)
class Row:
    """A console, and the exposure of each of its trials."""

    name: str
    script: Script
    exposures: tuple[tuple[Ending, float], ...]
    runs: int = 1
    signature: str | None = None
    ends: bool = False
    reset: bool = False


def clean(seconds: float) -> tuple[tuple[Ending, float], ...]:
    """Return one clean trial."""
    return ((Ending.CLEAN, seconds),)


def crashed(seconds: float) -> tuple[tuple[Ending, float], ...]:
    """Return one trial that a crash ended."""
    return ((Ending.CRASHED, seconds),)


def told(at: float, more: str = "", trial: int = 1) -> bytes:
    """Return a beat of the reproducer's own."""
    return out(f'{{"beat":{at:.0f},"seconds":{at}{more}}}', trial)


def work(at: float, number: int) -> bytes:
    """Return a beat that counts something."""
    return told(at, f',"runs":{number},"seen":0')


def took(ms: int, line: str = "") -> Script:
    """Return a run from 1.1 s to 9.0 s, init ready at 1.0 s, that took `ms` by the guest's clock."""
    says = ((8.0, out(line)),) if line else ()
    return ((1.0, BOOT + ready()), (1.1, start()), *says, (9.0, end(ms=ms)), (9.1, done()))


ROWS = (
    Row("init's clock", took(7000), clean(7.0)),
    Row("the reproducer's own word", took(7000, '{"seconds":6.5}'), clean(6.5)),
    Row(
        "the last of its counts, which tell no seconds",
        (
            (1.0, BOOT + ready() + start()),
            (8.0, out('{"seconds":6.5}') + out('{"runs":3}')),
            (9.0, end(ms=7000) + done()),
        ),
        clean(7.0),
    ),
    Row("a whole number", took(7000, '{"seconds":6}'), clean(6.0)),
    Row("as long as the run, rounded", took(7000, '{"seconds":7.004}'), clean(7.004)),
    Row("longer than the run", took(5000, '{"seconds":7.5}'), clean(5.0)),
    Row("no time at all", took(7000, '{"seconds":0}'), clean(7.0)),
    Row("less than none", took(7000, '{"seconds":-3}'), clean(7.0)),
    Row("no number", took(7000, '{"seconds":"6"}'), clean(7.0)),
    Row("a truth value", took(7000, '{"seconds":true}'), clean(7.0)),
    Row("a guest without a clock", took(0), clean(7.9)),
    Row("a guest whose clock went back", took(-50), clean(7.9)),
    Row("a guest whose clock runs fast", took(60_000), clean(9.0)),
    Row("a clock and a reproducer that run fast", took(60_000, '{"seconds":59.0}'), clean(9.0)),
    Row("a number beyond all bounds", took(10**300), clean(9.0)),
    Row(
        "a start that was lost",
        ((1.0, BOOT + ready()), (9.0, end(ms=7000)), (9.1, done())),
        clean(7.0),
    ),
    Row(
        "each run for itself",
        ((1.0, BOOT + ready() + start(1)), (3.0, end(1, ms=60_000) + start(2)), (6.0, end(2, ms=60_000) + done())),
        ((Ending.CLEAN, 3.0), (Ending.CLEAN, 3.0)),
        runs=2,
    ),
    Row(
        "all at once, by a slow console: no more than went by since the start",
        ((5.0, BOOT + ready() + start(1) + end(1, ms=3000) + start(2) + end(2, ms=3000) + done()),),
        ((Ending.CLEAN, 3.0), (Ending.CLEAN, 2.0)),
        runs=2,
    ),
    Row("only a boot", ((1.0, BOOT + ready()),), clean(0.0), runs=0),
    Row("fired", one_run((8.0, out('{"seconds":0.75}')), code=1), ((Ending.FIRED, 0.75),)),
    Row("fired at once", ((1.0, BOOT + ready() + start() + end(code=1, ms=0)),), ((Ending.FIRED, 0.001),)),
    Row(
        "the crash is the bug: until its report began",
        one_run((2.0, WARNING), (6.0, OOPS)),
        ((Ending.FIRED, 4.9),),
        signature="guilty",
    ),
    Row(
        "a restart is the bug, long after a warning",
        one_run((2.0, WARNING), (6.0, BOOT)),
        ((Ending.FIRED, 4.9),),
        signature="silent reboot",
    ),
    Row("and by the reproducer's word", one_run((5.0, work(3.0, 9)), (6.0, OOPS)), ((Ending.FIRED, 3.0),), 1, "guilty"),
    Row(
        "the bug crashes the boot",
        ((0.5, BOOT), (0.9, PANIC)),
        ((Ending.FIRED, 0.001),),
        signature="bisectbot test panic",
        ends=True,
    ),
    Row("crashed before any beat", one_run((2.0, OOPS)), crashed(0.0)),
    Row("crashed behind beats of init's", one_run((2.1, beat(1, 1)), (3.1, beat(1, 2)), (3.5, OOPS)), crashed(2.0)),
    Row(
        "a beat behind the crash proves nothing",
        one_run((2.1, beat(1, 1)), (3.0, OOPS), (3.1, beat(1, 2))),
        crashed(1.0),
    ),
    Row("beats of init's on a fast clock", one_run((2.0, beat(1, 90)), (3.5, OOPS)), crashed(2.0)),
    Row(
        "its own beats are better than init's",
        one_run((2.1, work(0.5, 10) + beat(1, 1)), (3.1, work(1.5, 20) + beat(1, 2)), (3.5, OOPS)),
        crashed(1.5),
    ),
    Row(
        "seconds without progress add nothing, also where it came back later",
        one_run((2.1, work(1, 10)), (3.1, work(2, 10)), (4.1, work(3, 10)), (5.1, work(4, 11)), (5.5, OOPS)),
        crashed(2.0),
    ),
    Row(
        "a reproducer that never did anything",
        one_run((2.1, work(1, 0) + beat(1, 1)), (3.1, work(2, 0) + beat(1, 2)), (3.5, OOPS)),
        crashed(0.0),
    ),
    Row("beats that count nothing are believed", one_run((2.1, told(1)), (3.1, told(2)), (3.5, OOPS)), crashed(2.0)),
    Row("a beat told three times is one", one_run((2.1, work(1, 5) * 3), (3.5, OOPS)), crashed(1.0)),
    Row("own beats on a fast clock", one_run((2.0, work(50, 10)), (3.5, OOPS)), crashed(2.0)),
    Row(
        "own beats that go back",
        one_run((3.0, work(2, 5)), (4.0, work(1, 6)), (5.0, work(2, 7)), (5.5, OOPS)),
        crashed(3.0),
    ),
    Row(
        "counts without seconds are no beat", one_run((2.1, beat(1, 1) + out('{"runs":7}')), (3.5, OOPS)), crashed(1.0)
    ),
    Row("what stderr says is no beat", one_run((2.1, out('{"seconds":1}', fd=2)), (3.5, OOPS)), crashed(0.0)),
    Row(
        "a crash between two runs",
        ((1.0, BOOT + ready() + start(1)), (3.0, end(1, ms=2000)), (4.0, OOPS), (4.1, beat(1, 3))),
        ((Ending.CLEAN, 2.0), (Ending.CRASHED, 0.0)),
        runs=2,
    ),
    Row(
        "the beats of one run aren't those of the next",
        ((1.0, BOOT + ready() + start(1)), (3.0, beat(1, 1) + end(1, ms=2000) + start(2)), (3.5, OOPS)),
        ((Ending.CLEAN, 2.0), (Ending.CRASHED, 0.0)),
        runs=2,
    ),
    Row("rebooted", one_run((3.2, beat(1, 2)), (4.0, BOOT)), ((Ending.REBOOTED, 2.0),)),
    Row(
        "lost",
        ((1.0, BOOT + ready() + start()), (2.1, beat(1, 1) + work(0.5, 1))),
        ((Ending.LOST, 0.5),),
        ends=True,
    ),
    Row(
        "hung: what its beats told counts nothing",
        ((1.0, BOOT + ready() + start()), (2.1, beat(1, 1) + work(1, 9))),
        ((Ending.HUNG, 0.0),),
    ),
    Row(
        "over its limit, for longer than a number can tell",
        ((1.0, BOOT + ready() + start()), (9.0, end(how="limit", code=9, ms=10**320))),
        ((Ending.HUNG, 0.0),),
    ),
    Row("can't tell", one_run((3.1, beat(1, 2) + work(2, 9)), code=125), ((Ending.CANT_TELL, 0.0),)),
    Row("killed", one_run((3.1, beat(1, 2) + work(2, 9)), how="signal", code=11), ((Ending.KILLED, 0.0),)),
)


def play(row: Row) -> tuple[Trial, ...]:
    """Return the trials of a row."""
    machine = ScriptedMachine(row.script, ends=row.ends, reset=row.reset)
    return probe(
        machine, KERNEL, Path("/i.cpio"), Asked(TOKEN, DEADLINES, row.runs, row.signature), LOG, 7, machine.clock
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_console_gives_its_exposure(row: Row) -> None:
    """Each console gives the endings and seconds of its row."""
    ended = play(row)
    assert tuple(trial.ending for trial in ended) == tuple(ending for ending, _ in row.exposures)
    assert [trial.exposure for trial in ended] == pytest.approx([seconds for _, seconds in row.exposures])


_PROVEN = {Ending.FIRED, Ending.CLEAN, Ending.CRASHED, Ending.REBOOTED, Ending.LOST}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_proves_nothing_counts_nothing(case: Case) -> None:
    """Of all endings in the probe's own table, only those that prove that work was done have an exposure."""
    ended = play(Row("", case.script, (), case.runs, case.signature, case.ends, case.reset))
    assert [trial.ending for trial in ended if trial.exposure and trial.ending not in _PROVEN] == []
    assert [trial.exposure for trial in ended if trial.ending is Ending.FIRED and trial.exposure < 0.001] == []


NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.integers(0, 20), st.floats(allow_nan=False))
LINES = st.one_of(
    st.builds(lambda seconds, runs: out(f'{{"seconds":{seconds},"runs":{runs}}}'), NUMBERS, st.integers(0, 3)),
    st.builds(
        lambda trial, seconds: fact(5, t="beat", trial=trial, s=seconds), st.integers(1, 3), st.integers(-9, 10**20)
    ),
    st.builds(start, st.integers(1, 3)),
    st.builds(lambda trial, ms: end(trial, ms=ms), st.integers(1, 3), st.integers(-(10**12), 10**320)),
    st.builds(lambda trial, code: end(trial, code=code, ms=10**9), st.integers(1, 3), st.sampled_from([0, 1, 125])),
    st.sampled_from([OOPS, WARNING, PANIC, done(), BOOT]),
)
STEPS = st.lists(st.tuples(st.floats(0, 20), LINES), max_size=30)


@settings(deadline=None)  # a loaded machine is no mistake
@given(STEPS)
def test_no_guest_can_tell_more_time_than_went_by(steps: list[tuple[float, bytes]]) -> None:
    """Whatever facts and numbers come: no exposure is below 0, and all of a boot's together fit into its time."""
    watcher = Watcher(KERNEL, Asked(TOKEN, DEADLINES, 5))
    ended = watcher.feed(Chunk(1.0, BOOT + ready()))
    now = 1.0
    for pause, line in steps:
        now += pause
        ended += watcher.tick(now) + watcher.feed(Chunk(now, line))
    ended += watcher.end(reset=False)
    assert [trial for trial in ended if trial.exposure < 0] == []
    assert sum(trial.exposure for trial in ended) <= now + 0.0011


@settings(deadline=None)  # a loaded machine is no mistake
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_only_seconds_with_progress_count(worked: list[bool]) -> None:
    """Of a run that crashes, exactly the seconds count at whose end its counters had moved."""
    counters = list(accumulate(worked, initial=1))
    beats = [(1.0 + at, work(float(at), number)) for at, number in enumerate(counters, 1)]
    assert all(one <= two for one, two in pairwise(counters))
    script = ((1.0, BOOT + ready() + start()), *beats, (2.5 + len(counters), OOPS))
    (trial,) = play(Row("", script, ()))
    assert (trial.ending, trial.exposure) == (Ending.CRASHED, 1 + sum(worked))
