"""Random histories, random evidence, and the posterior of both done the plain slow way: every culprit, every rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np

from bisectbot.search.dag import Dag, Floats
from bisectbot.search.posterior import GOOD, Knowledge, Problem, Seen, Settings

KINDS = ("line", "merges", "octopus", "roots", "apart")
_MOST_PARENTS = {"line": 1, "merges": 2, "octopus": 5, "roots": 3, "apart": 2}
_CELLS = 64 * 4  # of log(lam): four for each point that the search itself has
_WIDTH = 10.5 / 63 / 4


def random_dag(kind: str, size: int, seed: int) -> Dag:
    """Return a history: a line, with merges, octopuses or several roots, joined by its last commit unless `apart`."""
    dice = np.random.default_rng([seed, size, KINDS.index(kind)])
    rows = [_parents(kind, place, dice) for place in range(size)]
    if kind not in {"line", "apart"}:
        held = {parent for row in rows[:-1] for parent in row}
        rows[-1] = [place for place in range(size - 1) if place not in held]
    return Dag([f"{place:040x}" for place in range(size)], rows)


def _parents(kind: str, place: int, dice: np.random.Generator) -> list[int]:
    if kind == "line" or place == 0:
        return [place - 1] if place else []
    least = 0 if kind in {"roots", "apart"} else 1
    near = range(max(0, place - 6), place)
    number = min(len(near), int(dice.integers(least, _MOST_PARENTS[kind] + 1)))
    return sorted(dice.choice(near, number, replace=False).tolist())


def contained(dag: Dag) -> list[frozenset[int]]:
    """Return what each commit contains, itself included: the union of its parents'."""
    found: list[frozenset[int]] = []
    for place, parents in enumerate(dag.parents):
        found.append(frozenset({place}).union(*(found[parent] for parent in parents)))
    return found


def random_prior(size: int, seed: int) -> Floats:
    """Return probabilities that differ by some orders of magnitude."""
    weights = np.exp(np.random.default_rng([seed, size]).normal(0, 2, size))
    scaled: Floats = weights / weights.sum()
    return scaled


def random_knowledge(dag: Dag, seed: int, *, good_fires: bool = False, background: bool = False) -> Knowledge:
    """Return evidence that a real culprit could have given: several boots, fires at the bad end, silence elsewhere."""
    dice = np.random.default_rng([seed, len(dag), 7])
    holds, bad = contained(dag), len(dag) - 1
    culprit = int(dice.integers(len(dag)))
    tested = dice.choice(bad, min(bad, int(dice.integers(1, 6))), replace=False).tolist() if bad else []
    seen = {bad: Seen(((float(dice.exponential(60)), 2), (float(dice.exponential(30)), 1)))}
    for place in tested:
        fires = (culprit in holds[place] and dice.random() < 0.6) or (background and dice.random() < 0.3)
        silent = tuple((float(dice.exponential(40)), 0) for _ in range(int(dice.integers(0, 3))))
        seen[place] = Seen((*silent, (float(dice.exponential(30)), int(fires))))
    if good_fires or dice.random() < 0.5:
        seen[GOOD] = Seen(((20.0, 0), (float(dice.exponential(50)), int(good_fires))))
    return Knowledge(seen)


class Brute:
    """The posterior by enumeration: each culprit, either opinion of the factor, a fine grid of rates, all factors.

    Nothing here is in closed form: the factor's Gamma distribution is integrated by the trapezoidal rule.
    """

    def __init__(self, problem: Problem, knowledge: Knowledge) -> None:
        self._problem, self._knowledge = problem, knowledge
        self._holds = contained(problem.dag)
        self._shapes = (problem.settings.steady, problem.settings.boot_steady)
        fired = [one for one in knowledge.seen.values() if one.fires]
        usual = sum(one.fires for one in fired) / sum(one.seconds for one in fired)
        middle = math.log(usual) - 1.75  # of the grid, which goes from -7 to 3.5
        self._lam = np.exp(middle + _WIDTH * (np.arange(_CELLS) - (_CELLS - 1) / 2))

    @cached_property
    def joint(self) -> Floats:
        """P(culprit, opinion, rate | everything seen): [N + 1, 2, rates]; the last culprit is older than the range."""
        settings, size = self._problem.settings, len(self._problem.dag)
        priors = np.append((1 - settings.older) * self._problem.prior, settings.older)
        opinions = np.array([1 - settings.by_boot, settings.by_boot])
        found = priors[:, None, None] * opinions[None, :, None] * np.ones((size + 1, 2, _CELLS))
        for commit, seen in self._knowledge.seen.items():
            with_bug = [self._with_bug(seen, opinion) for opinion in (0, 1)]
            without = _background(seen, settings)
            for culprit in range(size + 1):
                found[culprit] *= with_bug if self.inside(culprit, commit) else without
            found /= found.max()
        scaled: Floats = found / found.sum()
        return scaled

    def inside(self, culprit: int, commit: int) -> bool:
        """Whether a commit has the bug if that is the culprit."""
        older = culprit == len(self._problem.dag)
        return older or (commit != GOOD and culprit in self._holds[commit])

    @property
    def mass(self) -> Floats:
        """Of each commit: [N]."""
        found: Floats = self.joint.sum(axis=(1, 2))[:-1]
        return found

    @property
    def older(self) -> float:
        """Of a bug that is older than the range."""
        return float(self.joint[-1].sum())

    def silent(self, commit: int, seconds: float, *, fresh: bool) -> Floats:
        """Return P(silent for so much longer | culprit): [N + 1]."""
        boots = self._knowledge.seen.get(commit, Seen()).boots
        whole = (sum(one for one, _ in boots), sum(one for _, one in boots))
        last = (0.0, 0) if fresh else boots[-1]
        chances = np.array(
            [
                self._unit(shape, before + seconds, fires) / self._unit(shape, before, fires)
                for shape, (before, fires) in zip(self._shapes, (whole, last), strict=True)
            ]
        )
        shares = self.joint / self.joint.sum(axis=(1, 2), keepdims=True)
        found = np.where(np.isnan(shares), 0, shares) * chances
        bug = [self.inside(culprit, commit) for culprit in range(len(self.joint))]
        return np.where(bug, found.sum(axis=(1, 2)), 1.0)

    def _with_bug(self, seen: Seen, opinion: int) -> Floats:
        """Return P(seen | rate): one factor for all boots of a commit, or one for each."""
        if opinion == 0:
            return self._unit(self._shapes[0], seen.seconds, seen.fires)
        units = [self._unit(self._shapes[1], seconds, fires) for seconds, fires in seen.boots]
        found: Floats = np.prod(units, axis=0)
        return found

    def _unit(self, shape: float, seconds: float, fires: int) -> Floats:
        return poisson_with_factor(self._lam, shape, seconds, fires)


def poisson_with_factor(lam: Floats, shape: float, seconds: float, fires: int) -> Floats:
    """Return P(fires at these moments of so many seconds | lam): a Poisson process whose factor is integrated over."""
    logs = np.linspace(-22, 4.5, 260)
    factor = np.exp(logs)
    # the Gamma density of mean 1, times the factor for the step in its logarithm
    density = np.exp(shape * logs - shape * factor + shape * math.log(shape) - math.lgamma(shape))
    rates = lam[:, None] * factor
    return np.asarray(np.trapezoid(density * rates**fires * np.exp(-rates * seconds), logs, axis=1), dtype=np.float64)


def _background(seen: Seen, settings: Settings) -> float:
    if settings.background == 0:
        return 0.0 if seen.fires else 1.0
    return float(settings.background**seen.fires * math.exp(-settings.background * seen.seconds))


def shuffled(seen: Mapping[int, Seen], seed: int) -> dict[int, Seen]:
    """Return the same evidence, learned in another order."""
    order = np.random.default_rng(seed).permutation(list(seen)).tolist()
    return {place: seen[place] for place in order}


def entropy(chances: Iterable[float] | Floats) -> Floats:
    """Return the bits of yes-or-no questions."""
    inside = np.clip(np.asarray(chances, dtype=np.float64), 1e-15, 1 - 1e-15)
    found: Floats = -inside * np.log2(inside) - (1 - inside) * np.log2(1 - inside)
    return found
