"""The least seconds that any policy could need: a bound that no one reaches, to compare all of them with.

It lets every build yield a whole bit and tells the rate for nothing. Bits needed, for N equally likely culprits and an
error of e: H = log2 N - h(e) - e log2(N - 1). Each costs at least a build. Boots and runs yield at most r* bits a
second; and whatever came before, the culprit and the commit before it have to be run at last.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.searching.world import Cell, Prices

_ERROR = 0.01


@cache
def bound(cell: Cell, prices: Prices) -> float:
    """Return the seconds."""
    bits = needed_bits(cell.commits)
    last = 2 * prices.boot + (1 + math.log((1 - _ERROR) / _ERROR)) / cell.rate
    return bits * prices.build + max(bits / best_bits_per_second(cell.rate, prices.boot), last)


def needed_bits(commits: int) -> float:
    """Return how many bits name the culprit but for the error."""
    return math.log2(commits) - float(_entropy(np.array(_ERROR))) - _ERROR * math.log2(commits - 1)


def best_bits_per_second(rate: float, boot: float) -> float:
    """Return r*: the most that one boot and one run can tell per second, over P(bad) and the run's length."""
    bad = np.linspace(0.3, 0.9, 601)[:, None]
    seconds = np.geomspace(0.02, 20, 601)[None, :] / rate
    silent = np.exp(-rate * seconds)
    told = _entropy(1 - bad + bad * silent) - bad * _entropy(silent)
    taken = boot + (1 - bad) * seconds + bad * (1 - silent) / rate
    return float((told / taken).max())


def _entropy(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the bits of a yes or no of that probability."""
    inner = np.clip(chance, 1e-300, 1 - 1e-16)
    return -inner * np.log2(inner) - (1 - inner) * np.log2(1 - inner)
