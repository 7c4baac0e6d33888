"""What no test can tell apart, against the definition: the same testable commits contain it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import KINDS, contained, random_dag

from bisectbot.search.dag import Dag
from bisectbot.search.groups import group_of
from bisectbot.search.posterior import GOOD

DAGS = st.builds(random_dag, st.sampled_from(KINDS), st.integers(1, 24), st.integers(0, 10_000))


def brute(dag: Dag, commit: int, live: set[int], untestable: frozenset[int]) -> tuple[int, ...]:
    """Return the group by its definition."""
    holds = contained(dag)

    def tests(one: int) -> frozenset[int]:
        return frozenset(place for place in range(len(dag)) if place not in untestable and one in holds[place])

    return tuple(sorted({commit, *(one for one in live if tests(one) == tests(commit))}))


@given(DAGS, st.floats(0, 1), st.floats(0, 1), st.integers(0, 10_000))
@settings(max_examples=250, deadline=None)
def test_a_group_is_what_the_same_tests_contain(dag: Dag, skipped: float, alive: float, seed: int) -> None:
    """On any history, whatever can't be tested (the bad end perhaps), and whatever is still alive."""
    dice = np.random.default_rng(seed)
    untestable = frozenset(np.flatnonzero(dice.random(len(dag)) < skipped).tolist())
    live = set(np.flatnonzero(dice.random(len(dag)) < alive).tolist())
    for commit in range(len(dag)):
        assert group_of(dag, commit, live, untestable) == brute(dag, commit, live, untestable)


@given(DAGS, st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_groups_part_the_range(dag: Dag, seed: int) -> None:
    """All commits of a group have that group: nobody is in two."""
    dice = np.random.default_rng(seed)
    untestable = frozenset(np.flatnonzero(dice.random(len(dag)) < 0.5).tolist())
    everything = range(len(dag))
    for commit in everything:
        group = group_of(dag, commit, everything, untestable)
        assert {group_of(dag, other, everything, untestable) for other in group} == {group}


def test_where_all_can_be_tested_each_stands_alone() -> None:
    """No group without a skip; a good end that can't be tested is none of the range."""
    dag = random_dag("octopus", 20, 1)
    for place in range(20):
        assert group_of(dag, place, range(20), frozenset()) == (place,)
        assert group_of(dag, place, range(20), frozenset({GOOD})) == (place,)


def test_a_run_of_skips_goes_with_what_follows_it() -> None:
    """On a line: the first commit that can be tested again would fire for any of them."""
    dag = random_dag("line", 8, 0)
    assert group_of(dag, 5, range(8), frozenset({3, 4})) == (3, 4, 5)
    assert group_of(dag, 3, range(4, 8), frozenset({3, 4})) == (3, 4, 5)
    assert group_of(dag, 6, range(8), frozenset({3, 4})) == (6,)
