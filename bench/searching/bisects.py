"""Policies that halve the range: plain `git bisect` with a fixed number of runs, a careful engineer, and syzkaller's.

None of them tests the good end. A commit that can't be tested is passed over for the nearest one that can.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from bench.searching.world import SAMPLE, Ending, Lab

Answer = frozenset[int]  # the culprit is one of these; GOOD: it is older than the range; empty: no answer
NO_ANSWER: Answer = frozenset()


class Mark(Enum):
    """What `git bisect` is told."""

    GOOD = auto()
    BAD = auto()
    SKIP = auto()


def halve(commits: int, judge: Callable[[int], Mark]) -> Answer:
    """Return the commits that are left when no other can be tested."""
    low, high, skipped = -1, commits - 1, set[int]()
    while (middle := _nearest(low, high, skipped)) is not None:
        match judge(middle):
            case Mark.GOOD:
                low = middle
            case Mark.BAD:
                high = middle
            case Mark.SKIP:
                skipped.add(middle)
    return frozenset(range(low + 1, high + 1))


def _nearest(low: int, high: int, skipped: set[int]) -> int | None:
    """Return the commit between both that is nearest to their middle and not skipped."""
    inside = (one for one in range(low + 1, high) if one not in skipped)
    return min(inside, key=lambda one: abs(2 * one - low - high + 1), default=None) if skipped else _middle(low, high)


def _middle(low: int, high: int) -> int | None:
    return (low + high) // 2 if high - low > 1 else None


@dataclass(frozen=True)
class Plain:
    """`git bisect` whose script boots and runs 30 s, so many times; one fire is bad, none is good."""

    runs: int

    def __call__(self, lab: Lab) -> Answer:
        """Return its answer."""

        def judge(commit: int) -> Mark:
            for _ in range(self.runs):
                ending, _seconds = lab.run(commit, SAMPLE, fresh=True)
                if ending is not Ending.SILENT:
                    return Mark.BAD if ending is Ending.FIRED else Mark.SKIP
            return Mark.GOOD

        return halve(lab.instance.commits, judge)


@dataclass(frozen=True)
class Engineer:
    """Three fires on the bad end first; then bisection, one boot a commit, silent as long as a miss is unlikely enough.

    How long follows from the fires so far: P(silent t s | bad) = (S / (S + t)) ** F. The steps share the risk.
    """

    risk: float = 0.01
    fires: int = 3

    def __call__(self, lab: Lab) -> Answer:
        """Return its answer."""
        commits = lab.instance.commits
        seen = [lab.run(commits - 1, math.inf)[1] for _ in range(self.fires)]
        odds = math.log2(commits) / 2 / self.risk

        def judge(commit: int) -> Mark:
            ending, seconds = lab.run(commit, sum(seen) * (odds ** (1 / len(seen)) - 1))
            if ending is Ending.FIRED:
                seen.append(seconds)
            return {Ending.FIRED: Mark.BAD, Ending.SILENT: Mark.GOOD, Ending.UNTESTABLE: Mark.SKIP}[ending]

        return halve(commits, judge)


@dataclass(frozen=True)
class Syzkaller:
    """The rule of syzkaller's pkg/bisect, its machines one after the other on the one host.

    10 runs a commit, each on a boot of its own; 20 on the first and, once a bad commit fired in less than half of them,
    ever after. Bad takes a sixth of the runs, good takes none, what is between is skipped. Whatever isn't one commit is
    inconclusive, and an answer whose own confidence is below 0.66 isn't told.
    """

    runs: int = 10
    least: float = 0.66

    def __call__(self, lab: Lab) -> Answer:
        """Return its answer."""
        belief = _Belief(self.runs)
        if belief.test(lab, lab.instance.commits - 1) is not Mark.BAD:
            return NO_ANSWER  # not reproduced
        left = halve(lab.instance.commits, lambda commit: belief.test(lab, commit))
        return left if len(left) == 1 and belief.confidence >= self.least else NO_ANSWER


@dataclass
class _Belief:
    """What syzkaller remembers from one commit to the next."""

    usual: int
    flaky: bool = False
    chance: float | None = None  # that a run on a bad commit fires; it is only ever lowered
    confidence: float = 1.0

    def test(self, lab: Lab, commit: int) -> Mark:
        runs = 2 * self.usual if self.flaky or self.chance is None else self.usual
        fires = 0
        for _ in range(runs):
            ending, _seconds = lab.run(commit, SAMPLE, fresh=True)
            if ending is Ending.UNTESTABLE:
                return Mark.SKIP
            fires += ending is Ending.FIRED
        if fires == 0:
            self.confidence *= 1 - (1 - (self.chance or 0.0)) ** runs
            return Mark.GOOD
        return self._fired(fires, runs)

    def _fired(self, fires: int, runs: int) -> Mark:
        if fires < max(2, runs // 6):
            return Mark.SKIP
        share = fires / runs
        self.flaky |= share < 0.5  # noqa: PLR2004  its own threshold
        self.chance = share if self.chance is None else min(self.chance, (self.chance + share) / 2)
        return Mark.BAD
