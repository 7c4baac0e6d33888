"""The history of a range as the search sees it, read once: the graph, and what is known of each commit beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bisectbot.facts import State
from bisectbot.model import Kernel, Range
from bisectbot.odds import Shrunk
from bisectbot.plan import SearchRecipe
from bisectbot.ports import Graph
from bisectbot.search.confirm import confirming, sharper
from bisectbot.search.dag import Bools, Dag, Floats
from bisectbot.search.posterior import Problem, Settings
from bisectbot.search.prior import HIDDEN, twins, weights
from bisectbot.search.sight import Sight

_FLAT = 0.9  # what an answer must have if all commits had been equally likely beforehand
Sources = Callable[[Kernel], frozenset[str] | None]


@dataclass(frozen=True)
class Past:
    """What git knows of a range; `trees`: the paths that each end holds, the bad end's first.

    `outside`: the bad end stands for all that was left out with --path, and isn't a candidate itself.
    """

    dag: Dag
    touched: Mapping[str, tuple[str, ...]]
    authors: Mapping[str, str]
    trees: tuple[frozenset[str], ...]
    outside: bool = False


def past_of(graph: Graph, range_: Range) -> Past:
    """Return the history of a range; some seconds for ten thousand commits."""
    rows = graph.history(range_)
    places = {commit: place for place, (commit, _) in enumerate(rows)}
    dag = Dag([commit for commit, _ in rows], [[places[parent] for parent in parents] for _, parents in rows])
    touched = graph.touched(dag.commits, first_parent=range_.first_parent)
    trees = tuple(frozenset(path for path, _ in graph.blobs(end)) for end in range_.ends)
    outside = bool(range_.paths) and range_.bad not in graph.candidates(range_)
    return Past(dag, touched, graph.authors(dag.commits), trees, outside)


@dataclass(frozen=True)
class View:
    """A problem with its informed prior, the same one with none, and where the informed one comes from."""

    problem: Problem
    flat: Problem
    shrunk: Shrunk | None
    twins: tuple[tuple[str, ...], ...]
    flat_enough: float = _FLAT  # what an answer must have if all commits had been equally likely beforehand
    check: bool = False  # whether an answer is checked on the bad end without the culprit

    @property
    def sharper(self) -> View:
        """The same where an answer has to be surer by far."""
        settings = self.problem.settings
        settings = replace(settings, confidence=sharper(settings.confidence))
        problem, flat = replace(self.problem, settings=settings), replace(self.flat, settings=settings)
        return replace(self, problem=problem, flat=flat, flat_enough=sharper(self.flat_enough))


class Lens:
    """Makes the problem from the past and what the session has built; made anew only when that changed."""

    def __init__(self, past: Past, recipe: SearchRecipe, sources: Sources) -> None:
        self._past, self._recipe, self._sources = past, recipe, sources
        self._settings = Settings(
            confidence=recipe.confidence,
            older=recipe.older,
            background=recipe.background,
            show_within=recipe.show_within,
        )
        self._key: object = None
        self._view: View | None = None

    def view(self, state: State) -> View:
        """Return the problem as it is known now; a sharper one while an answer is being confirmed."""
        known = self._known(state)
        return known.sharper if confirming(state) else known

    def _known(self, state: State) -> View:
        ends = tuple(state.builds.get(end) for end in state.plan.range_.ends)
        digests = {commit: built.digest for commit, built in state.builds.items() if isinstance(built, Kernel)}
        key = (ends, tuple(sorted(digests.items())))
        if self._view is None or key != self._key:
            self._key, self._view = key, self._made(state, digests)
        return self._view

    def _made(self, state: State, digests: Mapping[str, str]) -> View:
        past, dag = self._past, self._past.dag
        prior = weights(dag.commits, past.touched, self._sight(state), self._recipe.priors, past.authors)
        same = twins((*state.plan.range_.goods, *dag.commits), digests)
        informed = self._parted(prior.weights, same)
        flat = np.full(len(dag), 1 / len(dag))
        problem = Problem(dag, informed, self._settings)
        recipe = self._recipe
        return View(
            problem,
            replace(problem, prior=flat),
            prior.shrunk,
            same,
            flat_enough=min(_FLAT, recipe.confidence),
            check=recipe.revert,
        )

    def _sight(self, state: State) -> Sight | None:
        built = [state.builds.get(end) for end in state.plan.range_.ends]
        lists = [self._sources(one) if isinstance(one, Kernel) else None for one in built]
        return Sight.of(lists, self._past.trees)

    def _parted(self, prior: Floats, same: tuple[tuple[str, ...], ...]) -> Floats:
        """Return the prior with next to nothing for what lies between two commits whose kernels are the same."""
        hidden = np.zeros(len(prior), dtype=np.bool_)
        for first, *others in same:
            for other in others:
                hidden |= self._held(first) ^ self._held(other)  # each once, however many kernels are the same
        found = np.where(hidden, prior * HIDDEN, prior)
        scaled: Floats = found / found.sum()
        return scaled

    def _held(self, commit: str) -> Bools:
        """Return which commits of the range `commit` contains; a good end contains none."""
        place = self._past.dag.index.get(commit)
        return np.zeros(len(self._past.dag), dtype=np.bool_) if place is None else self._past.dag.ancestors(place)
