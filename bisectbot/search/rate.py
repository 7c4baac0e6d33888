"""How often a race fires: the formulas of one rate, unknown but for what was seen of it.

A kernel with the bug fires as a Poisson process. Its rate is a common one, `lam`, times a factor that has a Gamma
distribution with mean 1 and shape `steady`. So one that was silent for T seconds though it has the bug has a likelihood
of (1 + lam T / steady) ** -steady, whose tail is far heavier than exp(-lam T): endless silence of one thing doesn't
outweigh everything. Of what the factor is a matter of, there are two opinions, and what is seen decides between them:

- of the commit, for the code around the race changes: then all boots of a commit share it;
- of the boot, for where things lie and run is settled as a machine comes up: then each boot has its own, and it differs
  more. A boot that was silent for long is then likely to be of the silent kind, and a fresh one says more.

Whatever has the shape [rates] holds both: the common rates under the first opinion, then those under the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bisectbot.search.dag import Floats

POINTS = 64  # of the grid over log(lam)
_LOWEST, _HIGHEST = -7.0, 3.5  # of the grid: log(lam / usual)


@dataclass(frozen=True)
class Rates:
    """The rates to sum over: `lam` and `steady` [rates]; half of them have a factor a commit, the others one a boot."""

    lam: Floats
    steady: Floats

    @classmethod
    def around(cls, usual: float, of_commit: float, of_boot: float) -> Rates:
        """Return rates evenly spaced in log(lam), which is the prior 1/lam, around a usual one; and the two shapes."""
        lam = usual * np.exp(np.linspace(_LOWEST, _HIGHEST, POINTS))
        return cls(np.tile(lam, 2), np.repeat([of_commit, of_boot], POINTS))

    def log_likelihood(self, boots: Sequence[tuple[float, int]]) -> Floats:
        """Return log P(what was seen in the boots of one commit with the bug): [rates]; a boot: seconds, fires."""
        whole = [(sum(seconds for seconds, _ in boots), sum(fires for _, fires in boots))]
        first = self._logs(whole, slice(None, POINTS))
        return np.concatenate([first, self._logs(boots, slice(POINTS, None))])

    def _logs(self, units: Sequence[tuple[float, int]], half: slice) -> Floats:
        lam, steady = self.lam[half], self.steady[half]
        seconds = np.array([one for one, _ in units])[:, None]
        fires = np.array([one for _, one in units])[:, None]
        norm = np.array([_rising(float(steady[0]), one) for _, one in units])[:, None]
        logs = fires * np.log(lam) - (steady + fires) * np.log1p(lam * seconds / steady) + norm
        found: Floats = logs.sum(axis=0)
        return found

    def spent(self, on_commit: float, in_boot: float) -> Floats:
        """Return what earlier silence counts: the commit's by one opinion, the boot's by the other: [rates]."""
        return np.repeat([on_commit, in_boot], POINTS)

    def silence(self, spent: Floats, seconds: Floats) -> Floats:
        """Return P(silent for `seconds` more | has the bug, was silent for `spent`): [rates, seconds]."""
        return self._ratio(spent, seconds) ** self.steady[:, None]

    def running(self, spent: Floats, seconds: Floats) -> Floats:
        """Return the expected seconds until it fires, at most `seconds`: [rates, seconds]."""
        power = self.steady[:, None] - 1
        left = (self.steady + self.lam * spent)[:, None]
        return left / (self.lam[:, None] * power) * (1 - self._ratio(spent, seconds) ** power)

    def _ratio(self, spent: Floats, seconds: Floats) -> Floats:
        steady, lam, spent = self.steady[:, None], self.lam[:, None], spent[:, None]
        found: Floats = (steady + lam * spent) / (steady + lam * (spent + seconds))
        return found


def _rising(steady: float, fires: int) -> float:
    """Return log(steady (steady + 1) ... (steady + fires - 1) / steady ** fires): the factor's moment."""
    return math.lgamma(steady + fires) - math.lgamma(steady) - fires * math.log(steady)
