"""What people and git are told: numbers that never round to certainty, verdicts that git can hold, finite forecasts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import a_kernel, a_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import contained, random_dag, random_knowledge, random_prior

from bisectbot.facts import Built, Fact, Opened, Reverted, Row, State, Tried, replay
from bisectbot.model import BrokenBy, BuildBroken, Ending, Judgement, NotYet, Range, Trial, Verdict
from bisectbot.odds import Odds
from bisectbot.plan import SearchRecipe
from bisectbot.search import evidence, foresight, telling
from bisectbot.search.evidence import Evidence
from bisectbot.search.past import View
from bisectbot.search.policy import Action, Costs, Found, choose
from bisectbot.search.posterior import GOOD, Knowledge, Problem, Seen, Settings, believe

SEEDS = st.integers(0, 10_000)
KIND = st.sampled_from(("line", "merges", "octopus", "roots"))
PROVEN = Seen(((30.0, 1),) * 5)
GOOD_END, WITHOUT = "a" * 40, "b" * 40


def problem(size: int = 12, kind: str = "line", settings_: Settings = Settings()) -> Problem:  # noqa: B008  frozen
    """Return a history whose commits are equally likely."""
    return Problem(random_dag(kind, size, 1), np.full(size, 1 / size), settings_)


# --- words


def test_a_commit_is_told_with_its_evidence() -> None:
    """What was seen, in one line; a silent one with its chance; a verdict only where there is one."""
    fired, silent = Seen(((20.0, 1), (10.0, 0))), Seen(((600.0, 0),))
    assert telling.judgement(fired, 1.0, Verdict.BAD) == Judgement(Verdict.BAD, "fired once in 30 s of running")
    words = "silent for 10 min of running; has the bug with a probability of 0.0040"
    assert telling.judgement(silent, 0.004, Verdict.GOOD) == Judgement(Verdict.GOOD, words)
    assert telling.judgement(silent, None, None) == NotYet("silent for 10 min of running")


def test_a_bug_that_never_showed_is_told_with_a_bound() -> None:
    """An hour of silence: rarer than once in twenty minutes."""
    one = problem()
    word = telling.never(Knowledge({one.bad: Seen(((1800.0, 0), (1800.0, 0)))}), one)
    assert word.verdict is Verdict.GOOD
    assert word.why == "silent for 60 min of running: if at all, it fires less than once in 20 min (95 % sure)"
    assert telling.never(Knowledge(), one).why.startswith("silent for 0 s")


def test_an_older_bug_is_told_by_what_showed_it() -> None:
    """A fire on the good end, or all the silence elsewhere that it takes to believe it."""
    fired = telling.older(Knowledge({GOOD: Seen(((30.0, 2),))}), Found((), 1.0, "older"))
    assert fired == Judgement(Verdict.BAD, "it fired there 2 times in 30 s of running")
    believed = telling.older(Knowledge(), Found((), 0.9951, "older"))
    assert believed.verdict is Verdict.BAD
    assert "0.9951" in believed.why


def test_the_line_names_the_likeliest() -> None:
    """Nothing before the bad end is proven; then a commit, or that the bug is older."""
    one = problem()
    assert one.dag.commits[6][:12] not in telling.in_a_line(one, Knowledge({one.bad: Seen(((9.0, 2),))}))
    line = telling.in_a_line(one, Knowledge({one.bad: PROVEN, 6: Seen(((9.0, 1),)), 5: Seen(((300.0, 0),))}))
    assert line.startswith(f"{one.dag.commits[6][:12]} is it with a probability of 0.9")
    older = telling.in_a_line(one, Knowledge({one.bad: PROVEN, 0: Seen(((9.0, 1),)), GOOD: Seen(((5.0, 1),))}))
    assert older == "older than the range with a probability of more than 0.999999"


# --- verdicts


@given(KIND, st.integers(1, 24), SEEDS, st.sampled_from([0.6, 0.9, 0.99]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_verdicts_are_ones_that_git_can_hold(kind: str, size: int, seed: int, sure: float, noisy: bool) -> None:  # noqa: FBT001
    """No good commit contains a bad one, whatever was seen; each verdict is as sure as was asked for."""
    how = Settings(confidence=sure, background=0.003 * noisy)
    one = Problem(random_dag(kind, size, seed), random_prior(size, seed), how)
    skips = frozenset(np.flatnonzero(np.random.default_rng(seed).random(size) < 0.2).tolist()) | {GOOD}
    knowledge = random_knowledge(one.dag, seed, background=noisy)
    knowledge = Knowledge(knowledge.seen, skips)
    found, belief = telling.verdicts(one, knowledge), believe(one, knowledge)
    holds = contained(one.dag)
    numbers = {one.dag.index[commit]: verdict for commit, verdict in found.items()}
    bad = {place for place, verdict in numbers.items() if verdict is Verdict.BAD}
    for place, verdict in numbers.items():
        chance = float(belief.mass[list(holds[place])].sum()) + belief.older
        match verdict:
            case Verdict.GOOD:
                assert not bad & holds[place]
                assert chance <= 1 - sure + 1e-9
            case Verdict.BAD:
                assert chance >= sure - 1e-9
            case Verdict.SKIP:
                assert place in skips
    assert skips - {GOOD} <= numbers.keys()
    assert numbers.keys() <= skips | knowledge.seen.keys()


def test_what_fired_is_bad_and_what_was_silent_for_long_good() -> None:
    """A commit of which not enough is known has no verdict, nor has one that never ran."""
    one = problem()
    seen = {one.bad: PROVEN, 6: Seen(((9.0, 1),)), 5: Seen(((20.0, 0),)), 2: Seen(((300.0, 0),) * 9)}
    found = telling.verdicts(one, Knowledge(seen, frozenset({4})))
    names = {one.dag.commits[place]: word for place, word in ((11, "bad"), (6, "bad"), (2, "good"), (4, "skip"))}
    assert found == names


def test_before_anything_fired_only_skips_are_sure() -> None:
    """Silence alone doesn't say how long it would have to be."""
    one = problem()
    knowledge = Knowledge({one.bad: Seen(((900.0, 0),)), 3: Seen(((900.0, 0),))}, frozenset({7, GOOD}))
    assert telling.verdicts(one, knowledge) == {one.dag.commits[7]: Verdict.SKIP}


@given(KIND, st.integers(1, 24), SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_chance_to_have_the_bug_is_that_of_all_it_contains(kind: str, size: int, seed: int) -> None:
    """Any culprit that a commit contains, or an older one: the bad end has it for sure."""
    one = Problem(random_dag(kind, size, seed), random_prior(size, seed))
    knowledge = random_knowledge(one.dag, seed)
    belief = believe(one, knowledge)
    chances = telling.has_bug(one, belief)
    sums = [belief.mass[list(inside)].sum() + belief.older for inside in contained(one.dag)]
    assert chances == pytest.approx(sums)
    assert chances[-1] == pytest.approx(1)
    assert chances.max() <= 1


# --- what is still to do


def seen_as(one: Problem) -> View:
    """Return the view of a problem without any prior of its own."""
    return View(one, one, None, ())


def read(knowledge: Knowledge, costs: Costs = Costs(120.0, 30.0)) -> Evidence:  # noqa: B008  frozen
    """Return evidence with these costs."""
    return Evidence(knowledge, costs, 30.0)


@given(KIND, st.integers(1, 24), SEEDS)
@settings(max_examples=100, deadline=None)
def test_what_is_left_is_finite(kind: str, size: int, seed: int) -> None:
    """At any moment a number of steps and of seconds above 0; no seconds before the rate is known."""
    one = Problem(random_dag(kind, size, seed), random_prior(size, seed))
    for knowledge in (random_knowledge(one.dag, seed), Knowledge({one.bad: Seen(((20.0, 1),))}), Knowledge()):
        silent = [place for place, seen in knowledge.seen.items() if not seen.fires]
        costs = Costs(120.0, 30.0, frozenset(silent), silent[-1] if silent else None)
        step = choose(one, knowledge, costs)
        if isinstance(step, Action):
            left = foresight.left(seen_as(one), read(knowledge, costs), step)
            assert 0 < left.steps < 100 + math.log2(size)
            proven = knowledge.seen.get(one.bad, Seen()).fires >= one.settings.first_fires
            assert (left.seconds is not None) is proven
            assert left.seconds is None or 0 < left.seconds < math.inf
            assert 0 < left.ahead.seconds < math.inf
            assert 0 < left.ahead.spread < 1
            assert left.ahead.guess is not bool(knowledge.seen.get(one.bad, Seen()).fires)


def test_less_is_left_where_more_is_known() -> None:
    """A range of a thousand takes longer than one of ten, and a half that is ruled out is a step less."""

    def left(one: Problem, knowledge: Knowledge) -> foresight.Left:
        step = choose(one, knowledge, Costs(120.0, 30.0))
        assert isinstance(step, Action)
        return foresight.left(seen_as(one), read(knowledge), step)

    short, long = problem(10), problem(1000)
    few, many = (left(one, Knowledge({one.bad: PROVEN})) for one in (short, long))
    half = left(long, Knowledge({long.bad: PROVEN, 500: Seen(((2.0, 1),))}))
    assert few.seconds is not None
    assert many.seconds is not None
    assert half.seconds is not None
    assert few.steps < half.steps < many.steps
    assert few.seconds < half.seconds < many.seconds


def test_the_check_at_the_end_is_part_of_the_forecast() -> None:
    """What it takes to build and run the bad end without the culprit; less once some of that was seen."""
    one, knowledge = problem(100), Knowledge({99: PROVEN})
    step = choose(one, knowledge, Costs(120.0, 30.0))
    assert isinstance(step, Action)
    without = foresight.left(seen_as(one), read(knowledge), step).ahead
    whole = foresight.left(replace(seen_as(one), check=True), read(knowledge), step).ahead
    assert whole.seconds > without.seconds + 150
    assert whole.boots >= without.boots + 1
    belief = believe(one, knowledge)
    rest = foresight.check_ahead(one, belief, read(knowledge), Seen(), built=False)
    half = Seen(((rest.seconds / 4, 0),))
    assert foresight.check_ahead(one, belief, read(knowledge), half, built=True).seconds < rest.seconds


def test_the_unsure_price_of_a_first_build_widens_the_forecast() -> None:
    """Before a session has built something itself, what a build takes is a guess."""
    state = session(LINE, *FIRES)
    taken = replace(a_kernel(NAMES[11]), from_store=True)
    guess = evidence.read(session(LINE, *FIRES, Built(taken)), LINE.dag, None)
    known = evidence.read(session(LINE, *FIRES, Built(replace(taken, from_store=False, seconds=60.0))), LINE.dag, None)
    assert evidence.read(state, LINE.dag, None).unsure == guess.unsure > known.unsure > 0


def test_what_holds_most_is_few_commits() -> None:
    """Of twelve alike nearly all; after a silence in the middle about half of them."""
    few, _ = told(LINE, *FIRES)
    assert few.holding is not None
    assert few.holding.number in (11, 12)
    assert few.holding.probability >= 0.95
    half, _ = told(LINE, *FIRES, *(ran(NAMES[5], boot, 200.0) for boot in (7, 8, 9)))
    assert half.holding is not None
    assert half.holding.number == 6
    assert set(half.holding.commits) == set(NAMES[6:])


def test_bits_of_a_choice() -> None:
    """A coin has one, eight commits three, certainty and what is impossible none."""
    assert foresight.entropy_of(np.full(8, 1 / 8)) == pytest.approx(3)
    assert foresight.entropy_of(np.array([0.5, 0.0, 0.5])) == pytest.approx(1)
    assert foresight.entropy_of(np.array([1.0, 0.0])) == 0


def test_the_first_guess_is_about_the_middle() -> None:
    """What may be built meanwhile; of a range of one commit there is nothing to guess."""
    (place,) = foresight.first_guess(problem(64), Costs(120.0, 30.0))
    assert 20 <= place <= 44
    assert foresight.first_guess(problem(1), Costs(120.0, 30.0)) == ()


# --- everything


def session(one: Problem, *facts: Fact) -> State:
    """Return a session over a line."""
    plan = a_plan(Path("/tree"), Range(one.dag.commits[-1], (GOOD_END,)), search=SearchRecipe())
    found = replay([Row(0.0, Opened(plan, {})), *(Row(1.0, fact) for fact in facts)])
    assert found is not None
    return found


def ran(commit: str, boot: int, exposure: float, *, fired: bool = False) -> Tried:
    """Return a trial as a fact."""
    ending = Ending.FIRED if fired else Ending.CLEAN
    return Tried(Trial(commit, boot, ending, "so it was", exposure=exposure, probe_seconds=exposure, boot_seconds=20.0))


def told(one: Problem, *facts: Fact) -> tuple[Odds, Action | Found]:
    """Return the odds of a session, and what comes next."""
    state = session(one, *facts)
    got = evidence.read(state, one.dag, None)
    step = choose(one, got.knowledge, got.costs)
    return telling.odds(state, seen_as(one), got, step), step


LINE = problem(12)
NAMES = LINE.dag.commits
FIRES = tuple(ran(NAMES[11], boot, 20.0, fired=True) for boot in range(1, 7))


def test_before_anything_ran_the_odds_are_the_prior() -> None:
    """All commits alike, nothing known of the rate but that it has no bound, and what comes first."""
    odds, _ = told(LINE)
    assert odds.candidates == 12
    assert [suspect.probability for suspect in odds.suspects] == pytest.approx([0.95 / 12] * 12)
    assert odds.older == 0.05
    assert (odds.rate.fires, odds.rate.low, odds.rate.high) == (0, 0.0, 1e9)
    assert odds.tested == ()
    assert odds.seconds_left is None
    assert odds.proposal is not None
    assert odds.proposal.commit == NAMES[11]


def test_the_odds_hold_the_whole_belief() -> None:
    """Suspects by probability, each tested commit with its chance and word, the rate of the bad end, what is next."""
    skip = Built(BuildBroken(NAMES[3], BrokenBy.COMPILE, "error: x"))
    odds, step = told(LINE, *FIRES, ran(NAMES[6], 9, 5.0, fired=True), skip, ran(NAMES[2], 10, 50.0))
    assert isinstance(step, Action)
    assert odds.proposal is not None
    assert (odds.proposal.commit, odds.proposal.bits) == (NAMES[step.commit], step.bits)
    assert "bits a second" in odds.proposal.why
    chances = [suspect.probability for suspect in odds.suspects]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) + odds.older == pytest.approx(1)
    assert (odds.rate.fires, odds.rate.seconds) == (6, 120.0)
    assert odds.rate.low < 0.05 < odds.rate.high
    words = [odds.judgement(NAMES[place]) for place in (11, 6, 3, 2)]
    assert [getattr(word, "verdict", None) for word in words] == [Verdict.BAD, Verdict.BAD, Verdict.SKIP, None]
    silent = odds.of(NAMES[2])
    assert silent is not None
    assert 0 < silent.has_bug < 0.5
    assert 0 < silent.chance < 1
    assert odds.seconds_left is not None
    assert odds.silence_needed is not None
    assert (len(odds.parents), len(odds.what_ifs)) == (0, 0)
    assert odds.flat is None


def test_an_answer_comes_with_what_it_rests_on() -> None:
    """Nothing is proposed any more; the parent, what would change it, and what it had with a flat prior are told."""
    silent = tuple(ran(NAMES[5], boot, 90.0) for boot in range(20, 30))
    odds, step = told(LINE, *FIRES, ran(NAMES[6], 9, 5.0, fired=True), *silent, ran(GOOD_END, 40, 60.0))
    assert isinstance(step, Found)
    assert (odds.proposal, odds.steps_left, odds.seconds_left, odds.absent) == (None, 0, 0.0, 0.0)
    assert odds.group == (NAMES[6],)
    assert 0.99 <= odds.group_probability <= 1
    assert odds.flat == pytest.approx(odds.group_probability)
    assert [parent.commit for parent in odds.parents] == [NAMES[5]]
    assert odds.what_ifs
    good = odds.of(GOOD_END)
    assert good is not None
    assert good.has_bug == odds.older
    assert isinstance(good.judgement, Judgement)
    assert good.judgement.verdict is Verdict.GOOD


def test_the_bad_end_without_the_culprit_stands_apart() -> None:
    """It is no commit of the range: it has no probability, and the check that it was made for is told."""
    silent = tuple(ran(NAMES[5], boot, 90.0) for boot in range(20, 30))
    known = (*FIRES, ran(NAMES[6], 9, 5.0, fired=True), *silent)
    check = (Reverted(NAMES[6], WITHOUT), Built(a_kernel(WITHOUT)), ran(WITHOUT, 50, 200.0))
    odds, _ = told(LINE, *known, *check)
    without = odds.of(WITHOUT)
    assert without is not None
    assert without.without == NAMES[6]
    assert math.isnan(without.has_bug)
    assert odds.reverted is not None
    assert (odds.reverted.commit, odds.reverted.seconds, odds.reverted.fires) == (WITHOUT, 200.0, 0)
    assert 0 < odds.reverted.chance < 0.1
    assert odds.suspects == told(LINE, *known)[0].suspects
    conflict, _ = told(LINE, *known, Reverted(NAMES[6], None))
    assert conflict.reverted is not None
    assert conflict.reverted.commit is None


def test_a_bug_that_is_absent_is_told_so() -> None:
    """Silence at the bad end for as long as was asked for: no suspect has more than its prior."""
    one = problem(12, settings_=Settings(show_within=100.0))
    odds, step = told(one, ran(NAMES[11], 1, 120.0))
    assert isinstance(step, Found)
    assert odds.absent == 1.0
    assert odds.proposal is None
    assert odds.rate.high == pytest.approx(3.0 / 120, rel=0.01)
