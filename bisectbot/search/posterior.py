"""From what was seen to what is believed: the probability of each commit to be the culprit, and of the rate under each.

A culprit c predicts fires on every commit that contains c, and none elsewhere but background. So commits that are
contained in the same tested commits are equally well explained: they form a class, and all sums run over classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bisectbot.search import rate
from bisectbot.search.dag import Bools, Dag, Floats
from bisectbot.search.rate import Rates

GOOD = -1  # stands for the good ends where the number of a commit is asked for


@dataclass(frozen=True)
class Seen:
    """What was seen on one commit: seconds of exposure and fires in each of its boots, the latest one last."""

    boots: tuple[tuple[float, int], ...] = ()

    @property
    def seconds(self) -> float:
        """Of exposure, in all boots."""
        return sum(seconds for seconds, _ in self.boots)

    @property
    def fires(self) -> int:
        """In all boots."""
        return sum(fires for _, fires in self.boots)

    @property
    def latest(self) -> float:
        """Seconds of exposure in the latest boot; none while there was no boot."""
        return self.boots[-1][0] if self.boots else 0.0

    def more(self, seconds: float, fires: int = 0, *, fresh: bool = True) -> Seen:
        """Return what is known after another run, in a `fresh` boot or in the latest one."""
        if fresh or not self.boots:
            return Seen((*self.boots, (seconds, fires)))
        *others, (before, fired) = self.boots
        return Seen((*others, (before + seconds, fired + fires)))


@dataclass(frozen=True)
class Knowledge:
    """All evidence, by the commit's number (GOOD: the good ends), and which commits can't be tested at all."""

    seen: Mapping[int, Seen] = field(default_factory=dict)
    untestable: frozenset[int] = frozenset()

    @property
    def fires(self) -> int:
        """How often it fired in all."""
        return sum(one.fires for one in self.seen.values())


@dataclass(frozen=True)
class Settings:
    """What the search takes for granted.

    `steady` and `boot_steady`: the shapes of the rates' spread from commit to commit and from boot to boot, and
    `by_boot` the prior probability that it is a matter of the boot (see rate.py); `older`: the one that the good ends
    have the bug; `background`: fires per second without the bug; `show_within`: seconds of exposure at the
    bad end without a fire after which it is given up; `first_fires`: how often the bad end has to fire.
    """

    confidence: float = 0.99
    steady: float = 8.0
    boot_steady: float = 1.5
    by_boot: float = 0.1
    older: float = 0.05
    background: float = 0.0
    show_within: float = 3600.0
    first_fires: int = 3


@dataclass(frozen=True)
class Problem:
    """What doesn't change while a session runs: the graph, and the prior of each commit, which sums to 1: [N]."""

    dag: Dag
    prior: Floats
    settings: Settings = Settings()

    @cached_property
    def bad(self) -> int:
        """The number of the bad end."""
        return len(self.dag) - 1


@dataclass(frozen=True)
class Belief:
    """The posterior. `mass` [N] and `older` sum to 1; `live` holds the numbers of the commits that have any mass.

    `classes` [live]: the class of each live commit. `weights` [K, rates]: the distribution of the rate under each
    class; the last class is "older than the range".
    """

    mass: Floats
    older: float
    live: NDArray[np.intp]
    classes: NDArray[np.intp]
    rates: Rates
    weights: Floats

    @property
    def rate_shares(self) -> Floats:
        """The distribution of the rate, whoever the culprit is: [rates]."""
        shares = np.bincount(self.classes, weights=self.mass[self.live], minlength=len(self.weights))
        shares[-1] = self.older
        found: Floats = shares @ self.weights
        return found

    @property
    def likeliest(self) -> int:
        """The number of the likeliest commit."""
        return int(self.mass.argmax())


def believe(problem: Problem, knowledge: Knowledge) -> Belief:
    """Return the posterior; there has to be at least one fire, for the rate's prior is improper."""
    dag, settings = problem.dag, problem.settings
    tested = [place for place in sorted(knowledge.seen) if knowledge.seen[place] != Seen()]
    seen = [knowledge.seen[place] for place in tested]
    inside = [place for place in tested if place != GOOD]
    rates = Rates.around(_usual(seen), settings.steady, settings.boot_steady)
    holds = np.vstack([dag.rows(inside), np.zeros((len(tested) - len(inside), len(dag)), dtype=np.bool_)])
    order = [tested.index(place) for place in inside] + [place for place, one in enumerate(tested) if one == GOOD]
    seen = [seen[place] for place in order]
    live = np.flatnonzero(_alive(holds, seen, settings) & (problem.prior > 0))
    patterns, classes = _patterns(holds[:, live])
    patterns = np.hstack([patterns, np.ones((len(seen), 1), dtype=np.bool_)])
    logs = _log_likelihoods(patterns, seen, rates, settings)
    return _normed(problem, live, classes, rates, logs)


def _usual(seen: list[Seen]) -> float:
    """Return about how often it fires where it does: the middle of the grid."""
    fired = [one for one in seen if one.fires]
    return sum(one.fires for one in fired) / max(1e-9, sum(one.seconds for one in fired))


def _alive(holds: Bools, seen: list[Seen], settings: Settings) -> Bools:
    """Return which commits can be the culprit at all: without background, those that all fired commits contain."""
    alive: Bools = np.ones(holds.shape[1], dtype=np.bool_)
    if settings.background == 0:
        for row, one in zip(holds, seen, strict=True):
            if one.fires:
                alive &= row
    return alive


def _patterns(holds: Bools) -> tuple[Bools, NDArray[np.intp]]:
    """Return the different columns [tested, K], and which of them each commit has."""
    keys = np.packbits(holds, axis=0).T
    wide = np.zeros((holds.shape[1], 8 * max(1, -(-keys.shape[1] // 8))), dtype=np.uint8)
    wide[:, : keys.shape[1]] = keys
    words = wide.view(np.uint64)
    if words.shape[1] == 1:
        _, first, classes = np.unique(words[:, 0], return_index=True, return_inverse=True)
    else:
        _, first, classes = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return holds[:, first], classes.reshape(-1).astype(np.intp)


def _log_likelihoods(patterns: Bools, seen: list[Seen], rates: Rates, settings: Settings) -> Floats:
    """Return log P(everything seen, rate | class) but for a constant: [K, rates]."""
    with_bug = np.array([rates.log_likelihood(one.boots) for one in seen])
    without = np.array([_background(one, settings.background) for one in seen])
    held = patterns.T.astype(np.float64)
    # 0 * -inf: a commit that holds the culprit needs no background
    missed = np.where(patterns, 0.0, without[:, None]).sum(axis=0)
    opinion = np.log(np.repeat([1 - settings.by_boot, settings.by_boot], rate.POINTS))
    found: Floats = held @ with_bug + missed[:, None] + opinion
    return found


def _background(one: Seen, background: float) -> float:
    if background == 0:
        return -math.inf if one.fires else 0.0
    return one.fires * math.log(background) - background * one.seconds


def _normed(problem: Problem, live: NDArray[np.intp], classes: NDArray[np.intp], rates: Rates, logs: Floats) -> Belief:
    top = logs.max()
    likelihood = np.exp(logs - top)
    evidence = likelihood.sum(axis=1)
    older = problem.settings.older
    mass = np.zeros(len(problem.dag))
    mass[live] = (1 - older) * problem.prior[live] * evidence[classes]
    first = older * float(evidence[-1])
    total = float(mass.sum()) + first
    weights = likelihood / np.maximum(evidence, 1e-300)[:, None]
    return Belief(mass / total, first / total, live, classes, rates, weights)
