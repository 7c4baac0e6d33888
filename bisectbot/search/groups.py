"""Commits that no test can tell apart, because what lies between them can't be tested."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from bisectbot.search.dag import Dag


def group_of(dag: Dag, commit: int, live: Iterable[int], untestable: AbstractSet[int]) -> tuple[int, ...]:
    """Return the live commits that are contained in exactly the same testable commits as `commit`, itself included."""
    if not untestable:
        return (commit,)
    mark = _first_testable(dag, commit, untestable)
    alive = set(map(int, live))
    mine = (place for place in untestable & alive if _first_testable(dag, place, untestable) == mark)
    top = mark & alive if len(mark) == 1 else frozenset[int]()
    return tuple(sorted({commit, *mine, *top}))


def _first_testable(dag: Dag, commit: int, untestable: AbstractSet[int]) -> frozenset[int]:
    """Return the testable commits that contain `commit` and no other such commit: they stand for all of them."""
    found: set[int] = set()
    known, todo = {commit}, [commit]
    while todo:
        place = todo.pop()
        if place not in untestable:
            found.add(place)
            continue
        fresh = [child for child in dag.children[place] if child not in known]
        known.update(fresh)
        todo.extend(fresh)
    if len(found) == 1:
        return frozenset(found)
    rows = {place: dag.ancestors(place) for place in found}
    return frozenset(place for place in found if not any(rows[place][other] for other in found if other != place))
