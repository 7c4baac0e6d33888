"""The check at the end: how the bad end without the culprit is run until its silence says enough."""

from __future__ import annotations

import numpy as np

from bisectbot.search.policy import Costs, chance_of_silence, mean_seconds
from bisectbot.search.posterior import Belief, Problem, Seen

_LENGTHS = np.geomspace(0.1, 300, 40)  # of a boot's runs, in mean times to fire
_MOST_BOOTS = 8


def silent_enough(problem: Problem, belief: Belief, seen: Seen) -> bool:
    """Whether a commit with the bug would hardly have been so silent in these boots."""
    return bool(seen.boots) and chance_of_silence(belief, seen) <= 1 - problem.settings.confidence


def seconds_a_boot(problem: Problem, belief: Belief, costs: Costs) -> float:
    """Return how long each boot is run, so that boots and runs together take least; of long ones a few would do.

    Boots may differ from each other, and then several shorter ones say more than a long one.
    """
    mean = mean_seconds(belief)
    best, price = float(_LENGTHS[-1]) * mean, np.inf
    for boots in range(1, _MOST_BOOTS + 1):
        seconds = _shortest(problem, belief, boots, mean)
        total = boots * (costs.boot + seconds * costs.pace)
        if total < price:
            best, price = seconds, total
    return best


def _shortest(problem: Problem, belief: Belief, boots: int, mean: float) -> float:
    """Return the seconds of silence in each of so many boots that say enough, or the longest that were tried."""
    for length in _LENGTHS.tolist():
        if silent_enough(problem, belief, Seen(((length * mean, 0),) * boots)):
            return float(length * mean)
    return float(_LENGTHS[-1] * mean)
