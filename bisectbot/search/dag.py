"""The commits of a range as a graph: who contains whom, and sums over everything that a commit contains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Dag:
    """Commits by number, parents before children; the last one is the bad end, which contains all others.

    `parents[i]` holds the numbers of the parents of commit i that are in the range themselves.
    """

    def __init__(self, commits: Sequence[str], parents: Sequence[Sequence[int]]) -> None:
        self.commits = tuple(commits)
        self.parents = tuple(tuple(row) for row in parents)
        if any(parent >= place for place, row in enumerate(self.parents) for parent in row):
            raise ValueError("parents have to come before their children")

    def __len__(self) -> int:
        return len(self.commits)

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of each commit."""
        return {commit: place for place, commit in enumerate(self.commits)}

    @cached_property
    def _bits(self) -> NDArray[np.uint8]:
        """One row of packed bits for each commit: what it contains. An eighth of N*N bytes."""
        rows = np.zeros((len(self), (len(self) + 7) // 8), dtype=np.uint8)
        for place, parents in enumerate(self.parents):
            row = rows[place]
            for parent in parents:
                np.bitwise_or(row, rows[parent], out=row)
            row[place >> 3] |= 128 >> (place & 7)
        return rows

    def ancestors(self, commit: int) -> Bools:
        """Return which commits `commit` contains, itself among them: [N]."""
        row: Bools = self.rows([commit])[0]
        return row

    def rows(self, commits: Iterable[int]) -> Bools:
        """Return one row of ancestors() for each of `commits`: [K, N]."""
        chosen = self._bits[np.fromiter(commits, dtype=np.intp)]
        return np.unpackbits(chosen, axis=1, count=len(self)).view(np.bool_)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The children of each commit that are in the range."""
        found: list[list[int]] = [[] for _ in self.commits]
        for place, parents in enumerate(self.parents):
            for parent in parents:
                found[parent].append(place)
        return tuple(map(tuple, found))

    @cached_property
    def _forest(self) -> tuple[list[int], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return each commit's main parent (-1: none), and for merges what came in beside it.

        The main parent is the one that contains most. What came in: (merges, the members of all of them in a row,
        where each one's begin). Sums along main parents plus what came in count nothing twice.
        """
        sizes = np.bitwise_count(self._bits).sum(axis=1, dtype=np.int64)
        main = [max(row, key=sizes.__getitem__, default=-1) for row in self.parents]
        merges = [place for place, row in enumerate(self.parents) if len(row) > 1]
        members, starts, used = [], [], 0
        for place in merges:
            came = self._bits[place] & ~self._bits[main[place]]
            inside = np.flatnonzero(np.unpackbits(came, count=len(self)))
            members.append(inside)
            starts.append(used)
            used += len(inside)
        flat = np.concatenate(members) if members else np.zeros(0, dtype=np.intp)
        return main, np.array(merges, dtype=np.intp), flat, np.array(starts, dtype=np.intp)

    def below(self, weights: Floats) -> Floats:
        """Return for each commit the sum of the weights of all that it contains: [N], exact at merges."""
        main, merges, flat, starts = self._forest
        own = weights.astype(np.float64)
        if len(merges):
            own[merges] = np.add.reduceat(weights[flat], starts)  # a merge is in what it brings in
        sums = own.tolist()
        for place, parent in enumerate(main):
            if parent >= 0:
                sums[place] += sums[parent]
        return np.array(sums)
