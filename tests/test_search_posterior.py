"""The posterior against an enumeration of every culprit, either opinion, every rate and every factor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import KINDS, Brute, contained, random_dag, random_knowledge, random_prior, shuffled

from bisectbot.search.posterior import GOOD, Knowledge, Problem, Seen, Settings, believe

JOINED = tuple(kind for kind in KINDS if kind != "apart")  # the bad end contains the range
SEEDS = st.integers(0, 10_000)
KIND = st.sampled_from(JOINED)


def problem(kind: str, size: int, seed: int, settings_: Settings = Settings()) -> Problem:  # noqa: B008  frozen
    """Return a random history with a random prior."""
    return Problem(random_dag(kind, size, seed), random_prior(size, seed), settings_)


def compared(one: Problem, knowledge: Knowledge) -> None:
    """Check the belief against brute force."""
    belief, brute = believe(one, knowledge), Brute(one, knowledge)
    assert belief.mass == pytest.approx(brute.mass, rel=2e-3, abs=1e-9)
    assert belief.older == pytest.approx(brute.older, rel=2e-3, abs=1e-9)


@given(KIND, st.integers(1, 14), SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_posterior_is_brute_force(kind: str, size: int, seed: int) -> None:
    """Fires, silence, several boots, a good end that stayed silent: every commit's mass, and what is older."""
    one = problem(kind, size, seed)
    compared(one, random_knowledge(one.dag, seed))


@given(KIND, st.integers(1, 12), SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_background_rate_is_brute_force_too(kind: str, size: int, seed: int, good_fires: bool) -> None:  # noqa: FBT001
    """Where good kernels fire at times, any commit may have, the good end as well, and none is ruled out."""
    one = problem(kind, size, seed, Settings(background=0.004))
    knowledge = random_knowledge(one.dag, seed, good_fires=good_fires, background=True)
    compared(one, knowledge)
    assert np.all(believe(one, knowledge).mass > 0)


@pytest.mark.parametrize(
    "how", [Settings(by_boot=0.9), Settings(steady=3, boot_steady=3), Settings(older=0.5), Settings(steady=40)]
)
def test_settings_are_the_ones_of_the_formulas(how: Settings) -> None:
    """Each of them changes the posterior the way it changes the brute force."""
    one = problem("merges", 10, 5, how)
    knowledge = random_knowledge(one.dag, 5)
    compared(one, knowledge)
    usual = believe(replace(one, settings=Settings()), knowledge)
    assert np.abs(believe(one, knowledge).mass - usual.mass).max() > 1e-4


def test_more_tested_commits_than_a_word_has_bits() -> None:
    """Seventy tested commits: patterns are wider than 64 bits, and still equal exactly when they are equal."""
    dag = random_dag("merges", 100, 4)
    seen = {place: Seen(((0.5, 0), (0.2, 0))) for place in range(99) if place % 4}
    seen |= {99: Seen(((60.0, 3),)), GOOD: Seen(((30.0, 0),))}
    assert len(seen) > 64
    one = Problem(dag, random_prior(100, 4))
    compared(one, Knowledge(seen))
    _classes_are_patterns(one, Knowledge(seen))


def _classes_are_patterns(one: Problem, knowledge: Knowledge) -> None:
    belief, holds = believe(one, knowledge), contained(one.dag)
    tested = [place for place in knowledge.seen if place != GOOD]
    patterns = [frozenset(place for place in tested if culprit in holds[place]) for culprit in belief.live.tolist()]
    pairs = set(zip(patterns, belief.classes.tolist(), strict=True))
    assert len(pairs) == len(set(patterns)) == len(set(belief.classes.tolist()))


@given(KIND, st.integers(1, 40), SEEDS)
@settings(max_examples=60, deadline=None)
def test_commits_that_the_tests_hold_alike_are_one_class(kind: str, size: int, seed: int) -> None:
    """Within a class masses are in the ratio of the priors: no test told them apart."""
    one = problem(kind, size, seed)
    knowledge = random_knowledge(one.dag, seed)
    _classes_are_patterns(one, knowledge)
    belief = believe(one, knowledge)
    ratio = belief.mass[belief.live] / one.prior[belief.live]
    for number in set(belief.classes.tolist()):
        assert np.ptp(ratio[belief.classes == number]) == pytest.approx(0, abs=1e-9 * ratio.max())


@given(KIND, st.integers(1, 60), SEEDS, st.booleans())
@settings(max_examples=80, deadline=None)
def test_it_is_a_probability(kind: str, size: int, seed: int, noisy: bool) -> None:  # noqa: FBT001
    """All masses are at least 0 and add up to 1; so do the rates' under each class that has any."""
    one = problem(kind, size, seed, Settings(background=0.01 if noisy else 0.0))
    belief = believe(one, random_knowledge(one.dag, seed, background=noisy))
    assert np.all(belief.mass >= 0)
    assert belief.older >= 0
    assert belief.mass.sum() + belief.older == pytest.approx(1, abs=1e-12)
    assert belief.weights.sum(axis=1) == pytest.approx(1)
    assert belief.likeliest == belief.mass.tolist().index(belief.mass.max())


@given(KIND, st.integers(2, 30), SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_evidence_does_not_matter(kind: str, size: int, seed: int) -> None:
    """Commits and boots come in any order; what is believed is the same."""
    one = problem(kind, size, seed)
    knowledge = random_knowledge(one.dag, seed)
    turned = {place: Seen(known.boots[::-1]) for place, known in shuffled(knowledge.seen, seed).items()}
    mixed = believe(one, Knowledge(turned))
    assert mixed.mass == pytest.approx(believe(one, knowledge).mass, rel=1e-9, abs=1e-15)


@given(KIND, st.integers(2, 30), SEEDS)
@settings(max_examples=60, deadline=None)
def test_skips_are_never_evidence(kind: str, size: int, seed: int) -> None:
    """Which commits can't be tested changes nothing, to the last bit."""
    one = problem(kind, size, seed)
    knowledge = random_knowledge(one.dag, seed)
    skips = frozenset(range(0, size, 2)) | {GOOD}
    skipped, known = believe(one, replace(knowledge, untestable=skips)), believe(one, knowledge)
    assert np.array_equal(skipped.mass, known.mass)
    assert skipped.older == known.older


@given(KIND, st.integers(2, 30), SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_fire_rules_out_what_the_commit_lacks(kind: str, size: int, seed: int) -> None:
    """Without background a commit that isn't in everything that fired has no mass at all."""
    one = problem(kind, size, seed)
    knowledge = random_knowledge(one.dag, seed)
    mass, holds = believe(one, knowledge).mass, contained(one.dag)
    for place in range(size):
        ruled_out = any(known.fires and place not in holds[fired] for fired, known in knowledge.seen.items())
        assert (mass[place] == 0) == ruled_out


def test_a_good_end_that_fired_leaves_only_older() -> None:
    """Nothing of the range can explain it."""
    one = problem("merges", 12, 2)
    belief = believe(one, random_knowledge(one.dag, 2, good_fires=True))
    assert belief.older == 1
    assert not belief.mass.any()


def test_fires_that_no_commit_explains_leave_only_older() -> None:
    """Two sides of a merge that share nothing both fired: the bug came before both."""
    dag = random_dag("apart", 1, 0)
    dag = type(dag)("abc", [[], [], [0, 1]])
    seen = {2: Seen(((9.0, 3),)), 0: Seen(((9.0, 1),)), 1: Seen(((9.0, 1),))}
    assert believe(Problem(dag, np.full(3, 1 / 3)), Knowledge(seen)).older == 1


def test_silence_speaks_against_what_it_contains_and_fires_for_it() -> None:
    """On a line: silence in the middle moves mass above it, and the longer, the more; a fire below it, all of it."""
    one = Problem(random_dag("line", 8, 0), np.full(8, 1 / 8))
    seen = {7: Seen(((30.0, 3),))}
    below = [
        float(believe(one, Knowledge({**seen, 3: Seen(((seconds, 0),))})).mass[:4].sum())
        for seconds in (0.1, 10.0, 60.0, 300.0, 3000.0)
    ]
    assert below == sorted(below, reverse=True)
    assert below[0] > 0.4
    assert below[-1] < 0.01
    assert believe(one, Knowledge({**seen, 3: Seen(((5.0, 1),))})).mass[4:].sum() == 0


def test_several_boots_of_silence_say_more_than_one_long_one() -> None:
    """A boot may be of a silent kind; ten of them hardly are."""
    one = Problem(random_dag("line", 8, 0), np.full(8, 1 / 8))
    seen = {7: Seen(((30.0, 3),))}
    long = believe(one, Knowledge({**seen, 3: Seen(((200.0, 0),))}))
    many = believe(one, Knowledge({**seen, 3: Seen(((20.0, 0),) * 10)}))
    assert many.mass[:4].sum() < 0.7 * long.mass[:4].sum()


def test_what_has_no_prior_has_no_posterior() -> None:
    """A prior of 0 stays 0, and is no class of its own."""
    prior = np.array([0.0, 0.5, 0.0, 0.5])
    belief = believe(Problem(random_dag("line", 4, 0), prior), Knowledge({3: Seen(((9.0, 1),))}))
    assert belief.live.tolist() == [1, 3]
    assert belief.mass[[0, 2]].tolist() == [0, 0]


def test_an_empty_entry_is_no_evidence() -> None:
    """A commit that was booted without any exposure changes nothing."""
    one = problem("merges", 12, 2)
    knowledge = random_knowledge(one.dag, 2)
    untouched = next(place for place in range(12) if place not in knowledge.seen)
    empty = Knowledge({**knowledge.seen, untouched: Seen()})
    assert np.array_equal(believe(one, empty).mass, believe(one, knowledge).mass)


def test_evidence_adds_up_by_boots() -> None:
    """A fresh boot stands apart, further runs of one lengthen it; sums are over all."""
    seen = Seen().more(5.0, fresh=False).more(2.0, 1, fresh=False).more(3.0)
    assert seen.boots == ((7.0, 1), (3.0, 0))
    assert (seen.seconds, seen.fires) == (10.0, 1)
    assert Knowledge({3: seen, GOOD: Seen(((1.0, 2),))}).fires == 3
