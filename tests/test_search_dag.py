"""The graph of a range against sets: who contains whom, and sums that count nothing twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import KINDS, contained, random_dag

from bisectbot.search.dag import Dag

DAGS = st.builds(random_dag, st.sampled_from(KINDS), st.integers(1, 40), st.integers(0, 10_000))


@given(DAGS)
@settings(max_examples=150, deadline=None)
def test_ancestors_are_the_transitive_closure(dag: Dag) -> None:
    """A commit contains itself and all that its parents contain, on any history, whatever its size."""
    for place, inside in enumerate(contained(dag)):
        assert set(np.flatnonzero(dag.ancestors(place)).tolist()) == inside


@given(DAGS, st.data())
@settings(max_examples=60, deadline=None)
def test_rows_are_ancestors_in_the_order_asked_for(dag: Dag, data: st.DataObject) -> None:
    """Repeated or none at all: one row for each, as wide as the range."""
    asked = data.draw(st.lists(st.integers(0, len(dag) - 1), max_size=12))
    rows = dag.rows(asked)
    assert rows.shape == (len(asked), len(dag))
    assert rows.dtype == np.bool_
    for row, place in zip(rows, asked, strict=True):
        assert np.array_equal(row, dag.ancestors(place))


@given(DAGS, st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_below_is_the_sum_over_all_that_is_contained(dag: Dag, seed: int) -> None:
    """The fast sum along main parents is the matrix product, at merges and octopuses too."""
    weights = np.random.default_rng(seed).random(len(dag))
    whole = dag.rows(range(len(dag))).astype(np.float64) @ weights
    assert dag.below(weights) == pytest.approx(whole, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_below_counts_commits_at_any_size(kind: str) -> None:
    """Ones add up to how many commits are contained, for sizes that fill bytes and ones that don't."""
    for size in (1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200):
        dag = random_dag(kind, size, seed=size)
        assert dag.below(np.ones(size)).tolist() == [len(inside) for inside in contained(dag)]


def test_what_both_sides_of_a_merge_share_counts_once() -> None:
    """A diamond: the merge holds its root once; a second merge of the same sides does too."""
    dag = Dag("abcdef", [[], [0], [0], [1, 2], [2, 1], [3, 4]])
    assert dag.below(np.array([100.0, 10, 1, 0.5, 0.25, 0.125])).tolist() == [100, 110, 101, 111.5, 111.25, 111.875]


def test_below_leaves_the_weights_as_they_are() -> None:
    """The caller's numbers are not summed up in place, and whole numbers are taken too."""
    dag = random_dag("merges", 20, 1)
    weights = np.ones(20)
    dag.below(weights)
    assert weights.tolist() == [1.0] * 20
    assert np.array_equal(dag.below(np.ones(20, dtype=np.int64)), dag.below(weights))


@given(DAGS)
@settings(max_examples=60, deadline=None)
def test_children_are_parents_turned_round(dag: Dag) -> None:
    """A commit is a child of each of its parents, and of nothing else."""
    pairs = {(parent, place) for place, row in enumerate(dag.parents) for parent in row}
    assert {(place, child) for place, row in enumerate(dag.children) for child in row} == pairs


def test_the_index_finds_each_commit() -> None:
    """Numbers are places in the order that was given."""
    dag = random_dag("octopus", 30, 3)
    assert [dag.index[commit] for commit in dag.commits] == list(range(30))


@pytest.mark.parametrize("parents", [[[1], []], [[0]], [[], [0], [3], [2]]])
def test_a_parent_behind_its_child_is_refused(parents: list[list[int]]) -> None:
    """Children first, or a commit that is its own parent: closures would silently be wrong."""
    with pytest.raises(ValueError, match="before their children"):
        Dag([str(place) for place in range(len(parents))], parents)


def test_a_range_of_one_commit() -> None:
    """It contains itself, and has neither parents nor children."""
    dag = Dag(["a"], [[]])
    assert dag.ancestors(0).tolist() == [True]
    assert dag.below(np.array([0.25])).tolist() == [0.25]
    assert dag.children == ((),)
