"""The check at the end: how the bad end without the culprit is run until its silence says enough."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np

from bisectbot.search.policy import Costs, chance_of_silence, mean_seconds
from bisectbot.search.posterior import Belief, Problem, Seen

_LENGTHS = np.geomspace(0.1, 300, 40)  # of a boot's runs, in mean times to fire
_MOST_BOOTS = 8


def silent_enough(problem: Problem, belief: Belief, seen: Seen) -> bool:
    """Whether a commit with the bug would hardly have been so silent in these boots."""
    return bool(seen.boots) and chance_of_silence(belief, seen) <= 1 - problem.settings.confidence


@dataclass(frozen=True)
class Check:
    """A check as it is planned: so many boots of so many seconds of silence each, and what all that takes."""

    boots: int
    silence: float
    seconds: float


def planned(problem: Problem, belief: Belief, costs: Costs) -> Check:
    """Return the check whose boots and runs together take least.

    Boots may differ from each other, and then several shorter ones say more than a long one; of long ones a few do.
    """
    mean = mean_seconds(belief)
    best = Check(1, float(_LENGTHS[-1]) * mean, np.inf)
    for boots in range(1, _MOST_BOOTS + 1):
        silence = _shortest(problem, belief, boots, mean)
        total = boots * (costs.boot + silence * costs.pace)
        if total < best.seconds:
            best = Check(boots, silence, total)
    return best


def checks(problem: Problem, belief: Belief, costs: Costs) -> Check:
    """Return the whole check: its kernel has to be built, too."""
    whole = planned(problem, belief, costs)
    return replace(whole, seconds=costs.build + whole.seconds)


def remaining(problem: Problem, belief: Belief, costs: Costs, seen: Seen) -> Check:
    """Return what is still to do after what was `seen` in its boots so far."""
    plan = planned(problem, belief, costs)
    boots = 1
    while boots < _MOST_BOOTS and not silent_enough(problem, belief, _after(seen, plan.silence, boots)):
        boots += 1
    return Check(boots, plan.silence, boots * (costs.boot + plan.silence * costs.pace))


def _after(seen: Seen, silence: float, boots: int) -> Seen:
    return Seen((*seen.boots, *((silence, 0),) * boots))


def seconds_a_boot(problem: Problem, belief: Belief, costs: Costs) -> float:
    """Return how long each boot is run."""
    return planned(problem, belief, costs).silence


def _shortest(problem: Problem, belief: Belief, boots: int, mean: float) -> float:
    """Return the seconds of silence in each of so many boots that say enough, or the longest that were tried."""
    found = bisect_left(
        _LENGTHS, True, key=lambda length: silent_enough(problem, belief, Seen(((float(length) * mean, 0),) * boots))
    )
    return float(_LENGTHS[min(found, len(_LENGTHS) - 1)] * mean)
