"""From the journal to what the search works with: exposure by boots, skips, and what a session's own times say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import a_kernel, a_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from bisectbot.facts import (
    BootBegan,
    Built,
    CameHome,
    Fact,
    Faulted,
    Opened,
    Paused,
    Resumed,
    Row,
    State,
    Tried,
    apply,
    replay,
)
from bisectbot.lab import Homed
from bisectbot.model import BrokenBy, BuildBroken, Ending, Judgement, NotYet, ProbeRecipe, Range, Trial, Verdict
from bisectbot.plan import SearchRecipe
from bisectbot.search import evidence
from bisectbot.search.dag import Dag
from bisectbot.search.policy import Costs
from bisectbot.search.posterior import GOOD, Seen
from bisectbot.verdict import alone, untestable

COMMITS = tuple(f"{place:040x}" for place in range(6))
FIRST, SECOND = "a" * 40, "b" * 40  # good ends
DAG = Dag(COMMITS, [[place - 1] if place else [] for place in range(6)])
RECIPE = ProbeRecipe(Path("/bin/true"), tries=2)
OPENED = Row(0.0, Opened(a_plan(Path("/tree"), Range(COMMITS[-1], (FIRST, SECOND)), search=SearchRecipe()), {}))


def state(*facts: Fact) -> State:
    """Return the state after these facts."""
    found = replay([OPENED, *(Row(float(at), fact) for at, fact in enumerate(facts))])
    assert found is not None
    return found


def tried(commit: str, boot: int, ending: Ending = Ending.CLEAN, exposure: float = 10.0, **seconds: float) -> Tried:
    """Return a trial as a fact; `seconds`: probe_seconds and boot_seconds."""
    return Tried(Trial(commit, boot, ending, f"it {ending}", exposure=exposure, **seconds))  # type: ignore[arg-type]


def built(commit: str, seconds: float = 0.0, *, stored: bool = False) -> Built:
    """Return a build as a fact."""
    return Built(replace(a_kernel(commit), seconds=seconds, from_store=stored))


def broken(commit: str, seconds: float = 0.0) -> Built:
    """Return a build that failed."""
    return Built(BuildBroken(commit, BrokenBy.COMPILE, "error: x", seconds=seconds))


# --- exposure


def test_exposure_adds_up_by_boots() -> None:
    """Trials of one boot are one row of seconds and fires, in the order of the boots."""
    known = state(
        tried(COMMITS[2], 1),
        tried(COMMITS[2], 1, Ending.FIRED, 3.0),
        tried(COMMITS[4], 2, exposure=7.0),
        tried(COMMITS[2], 3, exposure=5.0),
    )
    read = evidence.read(known, DAG, None)
    assert read.knowledge.seen == {2: Seen(((13.0, 1), (5.0, 0))), 4: Seen(((7.0, 0),))}
    assert read.knowledge.untestable == frozenset()


def test_a_crash_of_another_kind_is_silence_up_to_then() -> None:
    """Its exposure counts, its ending doesn't; a boot that never came so far is no row at all."""
    known = state(
        tried(COMMITS[2], 1, Ending.CRASHED, 4.0),
        tried(COMMITS[2], 2, Ending.BOOT_HUNG, 0.0),
        tried(COMMITS[3], 3, Ending.NO_OUTPUT, 0.0),
    )
    assert evidence.read(known, DAG, None).knowledge.seen == {2: Seen(((4.0, 0),))}


def test_good_ends_are_pooled() -> None:
    """All of them stand for "older than the range", whatever order they ran in; the latest boot is the last one."""
    known = state(tried(SECOND, 1, exposure=3.0), tried(FIRST, 2, exposure=4.0), tried(SECOND, 5, exposure=6.0))
    assert evidence.read(known, DAG, None).knowledge.seen == {GOOD: Seen(((3.0, 0), (4.0, 0), (6.0, 0)))}
    assert evidence.read(known, DAG, SECOND).knowledge.seen[GOOD].latest == 6.0


@pytest.mark.parametrize(("commit", "place"), [(COMMITS[2], 2), (FIRST, GOOD)])
def test_a_boot_that_told_nothing_yet_is_the_latest(commit: str, place: int) -> None:
    """What is up has been silent for no time: the silence of an earlier boot isn't its own."""
    began = BootBegan(commit, 2)
    fresh = evidence.read(state(began), DAG, commit).knowledge.seen
    again = evidence.read(state(tried(commit, 1), began), DAG, commit).knowledge.seen
    over = evidence.read(state(tried(commit, 1), began), DAG, None).knowledge.seen
    assert fresh == {place: Seen(((0.0, 0),))}
    assert again == {place: Seen(((10.0, 0), (0.0, 0)))}
    assert over == {place: Seen(((10.0, 0),))}
    told = evidence.read(state(tried(commit, 1), began, tried(commit, 2)), DAG, commit).knowledge.seen
    assert told == {place: Seen(((10.0, 0), (10.0, 0)))}


def test_a_commit_outside_the_range_is_no_evidence() -> None:
    """The bad end with the culprit taken back, say: it is no commit of the range."""
    known = state(built("9" * 40), tried("9" * 40, 1, Ending.FIRED), broken("8" * 40))
    read = evidence.read(known, DAG, "9" * 40)
    assert (dict(read.knowledge.seen), read.knowledge.untestable) == ({}, frozenset())
    assert (read.costs.built, read.costs.booted) == (frozenset(), None)


# --- what can't be tested


def test_what_does_not_build_or_boot_is_untestable() -> None:
    """A broken build at once, a commit without a word after as many boots as --tries says."""
    known = state(
        broken(COMMITS[1]),
        tried(COMMITS[2], 1, Ending.BOOT_CRASHED, 0.0),
        tried(COMMITS[2], 2, Ending.NO_OUTPUT, 0.0),
        tried(COMMITS[3], 3, Ending.BOOT_CRASHED, 0.0),
    )
    assert evidence.read(known, DAG, None).knowledge.untestable == {1, 2}


def test_the_good_end_is_untestable_only_if_all_are() -> None:
    """Another good end can still be run."""
    assert evidence.read(state(broken(FIRST)), DAG, None).knowledge.untestable == frozenset()
    assert evidence.read(state(broken(FIRST), broken(SECOND)), DAG, None).knowledge.untestable == {GOOD}


def trials(*rows: tuple[int, Ending]) -> list[Trial]:
    """Return trials of one commit: boot and ending; a clean one has a second of exposure."""
    return [Trial(COMMITS[0], boot, end, "so it was", exposure=float(end is Ending.CLEAN)) for boot, end in rows]


CASES = [
    ((), False),
    (((1, Ending.CRASHED), (1, Ending.LOST)), False),  # one boot is one try, whatever came of it
    (((1, Ending.CRASHED), (2, Ending.LOST)), True),
    (((1, Ending.CLEAN), (1, Ending.CRASHED), (2, Ending.CRASHED)), False),  # what was silent up to then was so
    (((1, Ending.CLEAN), (2, Ending.CRASHED), (3, Ending.CRASHED), (4, Ending.HUNG)), False),
    (((1, Ending.CLEAN), (2, Ending.CRASHED), (3, Ending.CRASHED), (4, Ending.HUNG), (5, Ending.LOST)), True),
    (((1, Ending.FIRED), (2, Ending.CRASHED), (3, Ending.CRASHED)), False),
    (((1, Ending.FIRED), (2, Ending.FIRED), (3, Ending.CLEAN)), False),
]


@pytest.mark.parametrize(("rows", "skipped"), CASES)
def test_boots_without_a_word_make_a_skip(rows: tuple[tuple[int, Ending], ...], skipped: bool) -> None:  # noqa: FBT001
    """So many for each boot that did have a word, and one more time so many."""
    word = untestable(a_kernel(COMMITS[0]), trials(*rows), RECIPE)
    assert (word is not None) is skipped
    if word is not None:
        assert word.verdict is Verdict.SKIP
        assert str(rows[-1][1]) in word.why


def test_silence_without_any_time_at_work_says_nothing() -> None:
    """Clean runs of which no exposure is known can't go on for ever."""
    idle = [Trial(COMMITS[0], boot, Ending.CLEAN, "so it was") for boot in (1, 2)]
    assert untestable(a_kernel(COMMITS[0]), idle[:1], RECIPE) is None
    assert untestable(a_kernel(COMMITS[0]), idle, RECIPE) is not None


def test_a_broken_build_is_a_skip_with_its_title() -> None:
    """Why it can't be tested is told."""
    word = untestable(broken(COMMITS[0]).result, (), RECIPE)
    assert word == Judgement(Verdict.SKIP, "it doesn't compile: error: x")


def test_on_its_own_a_commit_is_bad_or_a_skip_or_open() -> None:
    """Good is a matter of odds: no number of silent runs is a verdict."""
    fired = trials((1, Ending.CLEAN), (2, Ending.FIRED), (3, Ending.CRASHED), (4, Ending.LOST))
    assert alone(a_kernel(COMMITS[0]), fired, RECIPE) == Judgement(Verdict.BAD, "so it was")
    skipped = alone(a_kernel(COMMITS[0]), trials((1, Ending.LOST), (2, Ending.LOST)), RECIPE)
    assert isinstance(skipped, Judgement)
    assert skipped.verdict is Verdict.SKIP
    silent = alone(a_kernel(COMMITS[0]), trials(*((boot, Ending.CLEAN) for boot in range(500))), RECIPE)
    assert silent == NotYet("silent in 500 runs")


# --- what things cost


def costs(*facts: Fact, booted: str | None = None) -> Costs:
    """Return the costs after these facts."""
    return evidence.read(state(*facts), DAG, booted).costs


def test_before_anything_was_seen_costs_are_guesses() -> None:
    """Above 0, so that bits can be told by the second."""
    guess = costs()
    assert guess.build > guess.boot > 0
    assert guess.pace == 1
    assert (guess.built, guess.booted) == (frozenset(), None)


def test_a_build_costs_the_median_without_the_first() -> None:
    """The first began with nothing, and counts while it is all there is; what failed is no build."""
    first = built(COMMITS[5], 900.0)
    assert costs(first).build == 900
    assert costs(first, built(COMMITS[3], 40.0), broken(COMMITS[1], 3.0)).build == 40
    assert costs(first, built(COMMITS[3], 40.0), built(COMMITS[0], 50.0), built(FIRST, 90.0)).build == 50


def test_a_warm_store_makes_the_next_build_cheaper() -> None:
    """Its kernels don't count as the first build; the more of them it gave, the likelier it gives the next one."""
    stored = [built(commit, 1.0, stored=True) for commit in COMMITS[:3]]
    compiled = [built(COMMITS[5], 900.0), built(COMMITS[4], 30.0)]
    assert costs(stored[0]).build == costs().build / 2
    assert costs(*stored[:1], *compiled).build == 30 * 3 / 4
    assert costs(*stored, *compiled).build == 30 * 3 / 6
    assert costs(*compiled).build == 30


def test_a_boot_costs_its_way_up_and_its_way_home() -> None:
    """The median of the boots, each counted once, and of the homecomings of a real machine."""
    boots = [
        tried(COMMITS[5], 1, boot_seconds=20.0),
        tried(COMMITS[5], 1, boot_seconds=20.0),
        tried(COMMITS[3], 2, boot_seconds=30.0),
    ]
    boots.append(tried(COMMITS[2], 3, Ending.BOOT_HUNG, 0.0, boot_seconds=120.0))
    assert costs(*boots).boot == 30
    homes = [CameHome(COMMITS[5], boot, Homed("lab1", "by itself", seconds)) for boot, seconds in ((1, 60), (2, 100))]
    assert costs(*boots, *homes).boot == 110
    assert costs(*homes).boot == costs().boot + 80


def test_the_pace_is_what_a_second_of_exposure_takes() -> None:
    """Of clean runs alone, for those that fired ended early; never below 1, whatever the clocks say."""
    clean = [
        tried(COMMITS[5], 1, exposure=10.0, probe_seconds=15.0),
        tried(COMMITS[5], 1, exposure=10.0, probe_seconds=25.0),
    ]
    assert costs(*clean, tried(COMMITS[5], 2, Ending.FIRED, 0.1, probe_seconds=50.0)).pace == 2
    assert costs(tried(COMMITS[5], 1, exposure=10.0, probe_seconds=9.0)).pace == 1
    assert costs(tried(COMMITS[5], 1, exposure=0.0, probe_seconds=9.0)).pace == 1


def test_a_run_is_as_long_as_those_that_stayed_silent() -> None:
    """Their median; while none did, the longest of those that fired; a second before anything ran."""
    fired = [tried(COMMITS[5], boot, Ending.FIRED, seconds) for boot, seconds in ((1, 2.0), (2, 7.0), (3, 1.0))]
    clean = [tried(COMMITS[3], boot, exposure=seconds) for boot, seconds in ((4, 30.0), (5, 31.0), (6, 90.0))]
    assert evidence.run_seconds(state()) == 1
    assert evidence.run_seconds(state(*fired)) == 7
    assert evidence.run_seconds(state(*fired, *clean)) == 31
    assert evidence.read(state(*fired, *clean), DAG, None).run_seconds == 31


def test_what_is_built_and_up_is_told_by_number() -> None:
    """A broken build is no kernel; either good end's kernel is the good end's."""
    known = costs(built(COMMITS[5]), built(SECOND), broken(COMMITS[1]), booted=COMMITS[5])
    assert (set(known.built), known.booted) == ({5, GOOD}, 5)
    assert costs(booted=FIRST).booted == GOOD
    assert costs(built(COMMITS[0])).built == {0}


# --- replay


def _facts() -> st.SearchStrategy[Fact]:
    commit = st.sampled_from([*COMMITS, FIRST, SECOND, "9" * 40])
    seconds = st.floats(0, 500)
    endings, spans = st.sampled_from(Ending), {"probe_seconds": seconds, "boot_seconds": seconds}
    trial = st.builds(tried, commit, st.integers(1, 9), endings, seconds, **spans)
    build = st.builds(built, commit, seconds, stored=st.booleans())
    home = st.builds(
        lambda at, boot, took: CameHome(at, boot, Homed("lab1", "by itself", took)), commit, st.integers(1, 9), seconds
    )
    began = st.builds(BootBegan, commit, st.integers(1, 9))
    rest = st.sampled_from([Resumed(), Paused("interrupted", ""), Faulted(COMMITS[0], "boot", "x")])
    return st.one_of(trial, build, st.builds(broken, commit, seconds), home, began, rest)


@given(st.lists(_facts(), max_size=25), st.sampled_from([None, COMMITS[2], FIRST]))
@settings(max_examples=80, deadline=None)
def test_the_rows_are_the_evidence(facts: list[Fact], booted: str | None) -> None:
    """Learned row by row or replayed at once: the same evidence, whatever was written, and finite costs."""
    step = state()
    for at, fact in enumerate(facts):
        step = apply(step, Row(float(at), fact))
    read = evidence.read(step, DAG, booted)
    assert read == evidence.read(state(*facts), DAG, booted)
    numbers = [read.costs.build, read.costs.boot, read.costs.pace, read.run_seconds]
    assert np.all(np.isfinite(numbers))
    assert all(seen.boots for seen in read.knowledge.seen.values())
    whole = sum(fact.trial.exposure for fact in facts if isinstance(fact, Tried) and fact.trial.commit != "9" * 40)
    assert sum(seen.seconds for seen in read.knowledge.seen.values()) == pytest.approx(whole)
