"""A history like Linux': a mainline that mostly merges, and many trees beside it, some of which live for long.

A tree starts at the mainline or a release candidate, gathers commits, is merged, and then either ends or goes on from
where it was. Some merge the mainline, or each other, back. The range begins in the middle of all this, so many trees
have their roots before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Parents = list[tuple[int, ...]]

_MERGES = 0.28  # share of commits
_TREES = 45  # open at a time
_CANDIDATE = 700  # commits from one release candidate to the next
_ON_MAINLINE = 0.03  # of plain commits
_GOES_ON = 0.75  # of merged trees
_FROM_CANDIDATE = 0.7  # of new trees
_BACK = 0.12  # of merges: mainline into a tree
_ACROSS = 0.45  # of merges: a tree into another


def kernel_like(commits: int, seed: int) -> Parents:
    """Return the parents of each commit, those in the range alone; the last commit contains all others."""
    history = _History(np.random.default_rng(seed))
    while len(history.parents) < commits - len(history.trees):
        history.grow()
    while len(history.parents) < commits - 1 and history.trees:
        history.merge(history.trees.pop())
    while len(history.parents) < commits:
        history.commit_on_mainline()
    return history.parents


@dataclass
class _History:
    dice: np.random.Generator
    parents: Parents = field(default_factory=lambda: [()])
    mainline: int = 0
    candidate: int = 0
    trees: list[_Tree] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trees = [_Tree(None) for _ in range(_TREES)]

    def grow(self) -> None:
        """Add one commit."""
        if len(self.parents) % _CANDIDATE == 0:
            self.candidate = self.mainline
        ready = [tree for tree in self.trees if tree.fresh]
        if ready and self.dice.random() < _MERGES:
            self._some_merge(ready)
        elif self.dice.random() < _ON_MAINLINE:
            self.commit_on_mainline()
        else:
            self._pick(self.trees).add(self)

    def commit_on_mainline(self) -> None:
        """Add a commit that is no merge."""
        self.mainline = self.new(self.mainline)

    def merge(self, tree: _Tree) -> None:
        """Merge a tree into the mainline, if there is anything in it."""
        if tree.tip is not None and tree.fresh:
            self.mainline = self.new(self.mainline, tree.tip)

    def new(self, *parents: int) -> int:
        """Add a commit and return its number."""
        self.parents.append(parents)
        return len(self.parents) - 1

    def _some_merge(self, ready: list[_Tree]) -> None:
        tree, kind = self._pick(ready), self.dice.random()
        other = self._pick(self.trees)
        if kind < _BACK and tree.tip is not None:
            tree.tip = self.new(tree.tip, self.mainline)
        elif kind < _BACK + _ACROSS and other is not tree and other.tip is not None and tree.tip is not None:
            other.tip, other.fresh = self.new(other.tip, tree.tip), True
            self._after(tree)
        else:
            self.merge(tree)
            self._after(tree)

    def _after(self, tree: _Tree) -> None:
        tree.fresh = False
        if self.dice.random() > _GOES_ON:
            tree.tip = self.candidate if self.dice.random() < _FROM_CANDIDATE else self.mainline

    def _pick(self, trees: list[_Tree]) -> _Tree:
        """Return a tree: some are far busier than others."""
        return trees[int(len(trees) * self.dice.random() ** 2)]


@dataclass
class _Tree:
    tip: int | None  # None: still before the range
    fresh: bool = False  # holds what nobody merged yet

    def add(self, history: _History) -> None:
        """Commit on it."""
        self.tip = history.new(*(() if self.tip is None else (self.tip,)))
        self.fresh = True


def holders(parents: Parents, commit: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which commits contain one: [N]."""
    held = np.zeros(len(parents), dtype=np.bool_)
    held[commit] = True
    for place in range(commit + 1, len(parents)):
        held[place] = any(held[parent] for parent in parents[place])
    return held


def brought_in(parents: Parents) -> int:
    """Return how many commits the merges bring in, added up: beside the parent that contains most."""
    held: list[int] = []  # sets of commits as the bits of long numbers
    total = 0
    for place, row in enumerate(parents):
        sets = sorted((held[parent] for parent in row), key=int.bit_count)
        whole = 1 << place
        for one in sets:
            whole |= one
        held.append(whole)
        total += (whole.bit_count() - 1 - sets[-1].bit_count()) if len(row) > 1 else 0
    return total
