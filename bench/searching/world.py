"""The simulated world: a range with a race in it, and a lab that builds, boots and runs, and counts what that takes.

Everything follows from the seed, the cell and the trial's number: each policy meets the same culprits, the same rates
and, on the same commit, the same moments of firing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

GOOD = -1  # the good end, where a commit's number is asked for; the number of an older culprit too
SAMPLE = 30.0  # seconds of the runs that P30 is told for
_RUN_OF_UNTESTABLE = 8  # mean length: what breaks a commit stays broken for a while
_WORLD, _FIRES, _BOOTS = 0, 1, 2  # streams of one trial's seed


@dataclass(frozen=True)
class Cell:
    """A range's length, and the probability that a run of 30 s on a bad kernel fires."""

    commits: int
    p30: float

    def __post_init__(self) -> None:
        if self.commits < 2 or not 0 < self.p30 < 1:  # noqa: PLR2004  of one commit nothing can be asked
            raise ValueError(f"a cell needs two commits or more and a probability between 0 and 1, not {self}")

    @property
    def rate(self) -> float:
        """Fires per second on a kernel with the bug."""
        return -math.log1p(-self.p30) / SAMPLE


CELLS = tuple(Cell(commits, p30) for commits in (16, 128, 1024, 8192) for p30 in (0.95, 0.6, 0.3, 0.1))


@dataclass(frozen=True)
class Prices:
    """Seconds that a build and a boot take."""

    build: float = 120.0
    boot: float = 30.0


@dataclass(frozen=True)
class Twist:
    """What is not as a simple model has it."""

    sigma: float = 0.0  # spread of log(rate) from commit to commit
    boots: float = 0.0  # likewise, from boot to boot
    older: float = 0.0  # share of trials whose good end has the bug
    untestable: float = 0.0  # share of commits that don't build or boot


@dataclass(frozen=True)
class Instance:
    """One hidden truth. `bad` and `rates` have one more place than there are commits: the good end's, at GOOD."""

    culprit: int
    bad: NDArray[np.bool_]
    rates: NDArray[np.float64]
    untestable: frozenset[int]
    seed: tuple[int, ...]
    boots: float = 0.0  # spread of log(rate) from boot to boot

    @property
    def commits(self) -> int:
        """How many commits the range has; the last one is the bad end."""
        return len(self.bad) - 1


def draw(cell: Cell, twist: Twist, seed: int, trial: int) -> Instance:
    """Return the instance of that number on a linear history."""
    source = (seed, cell.commits, round(cell.p30 * 1_000_000), trial)
    dice = np.random.default_rng([*source, _WORLD])
    culprit = int(dice.integers(cell.commits))
    culprit = GOOD if dice.random() < twist.older else culprit
    bad = np.append(np.arange(cell.commits) >= culprit, culprit == GOOD)
    rates = np.full(cell.commits + 1, cell.rate)
    if twist.sigma:
        rates *= np.exp(twist.sigma * dice.standard_normal(cell.commits + 1))
    return Instance(culprit, bad, rates, _untestable(cell.commits, twist.untestable, dice), source, twist.boots)


def _untestable(commits: int, share: float, dice: np.random.Generator) -> frozenset[int]:
    """Return runs of commits, never the bad end, until there is their share; the last run may be cut short."""
    broken: set[int] = set()
    while (lacking := round(share * commits) - len(broken)) > 0:
        start = int(dice.integers(commits - 1))
        length = min(lacking, int(dice.geometric(1 / _RUN_OF_UNTESTABLE)))
        broken.update(range(start, min(commits - 1, start + length)))
    return frozenset(broken)


class Ending(Enum):
    """How a run on a commit ended."""

    FIRED = auto()
    SILENT = auto()
    UNTESTABLE = auto()  # there was no run


@dataclass
class Lab:
    """One host that builds a kernel or runs one, never both, and the seconds that went by."""

    instance: Instance
    prices: Prices = field(default_factory=Prices)
    seconds: float = 0.0
    builds: int = 0
    boots: int = 0
    built: set[int] = field(default_factory=set)
    booted: int | None = None  # whose kernel runs, silent so far
    _pace: float = 1.0  # of this boot: what the commit's rate is multiplied by
    _due: dict[int, float] = field(default_factory=dict)  # mean times of exposure until a commit fires next
    _dice: dict[tuple[int, int], np.random.Generator] = field(default_factory=dict)

    def run(self, commit: int, seconds: float, *, fresh: bool = False) -> tuple[Ending, float]:
        """Run the reproducer on a commit, to the first fire at most; `fresh`: on a new boot in any case.

        Returns how it ended and the seconds of exposure.
        """
        self._build(commit)
        if fresh or self.booted != commit:
            self._boot(commit)
        if commit in self.instance.untestable:
            self.booted = None
            return Ending.UNTESTABLE, 0.0
        rate = self._pace * float(self.instance.rates[commit]) if self.instance.bad[commit] else 0.0
        due = self._until_fire(commit) if rate else math.inf
        if due >= rate * seconds:
            self._due[commit] = due - rate * seconds
            self.seconds += seconds
            return Ending.SILENT, seconds
        del self._due[commit]
        self.booted = None
        self.seconds += due / rate
        return Ending.FIRED, due / rate

    def _build(self, commit: int) -> None:
        if commit not in self.built:
            self.built.add(commit)
            self.builds += 1
            self.seconds += self.prices.build

    def _boot(self, commit: int) -> None:
        self.booted = commit
        self.boots += 1
        self.seconds += self.prices.boot
        if self.instance.boots:
            self._pace = math.exp(self.instance.boots * self._of(commit, _BOOTS).standard_normal())

    def _until_fire(self, commit: int) -> float:
        if commit not in self._due:
            self._due[commit] = float(self._of(commit, _FIRES).exponential())
        return self._due[commit]

    def _of(self, commit: int, stream: int) -> np.random.Generator:
        key = (stream, commit - GOOD)
        if key not in self._dice:
            self._dice[key] = np.random.default_rng([*self.instance.seed, *key])
        return self._dice[key]
