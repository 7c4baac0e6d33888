"""How sure a rate is: the exact interval of a Poisson rate, from the events that were counted."""

from __future__ import annotations

import math

_HALVINGS = 100  # of the bracket: below any error of a float


def interval(fires: int, seconds: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of the rate, per second, behind `fires` in `seconds` of exposure.

    Exact and two-sided; from 0 to a one-sided bound if it never fired, from 0 to infinity without any exposure.
    Where runs end at their fire, the true chance that it holds is a little above `confidence`.
    """
    if seconds <= 0:
        return 0.0, math.inf
    if fires == 0:
        return 0.0, -math.log(1 - confidence) / seconds
    tail = (1 - confidence) / 2
    return _mean(fires - 1, 1 - tail) / seconds, _mean(fires, tail) / seconds


def _mean(most: int, probability: float) -> float:
    """Return the mean of the Poisson distribution that gives at most `most` events with this probability."""
    low, high = 0.0, most + 20 * math.sqrt(most + 1) + 20
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(most, middle) > probability else (low, middle)
    return (low + high) / 2


def _at_most(most: int, mean: float) -> float:
    terms = (math.exp(events * math.log(mean) - mean - math.lgamma(events + 1)) for events in range(most + 1))
    return math.fsum(terms)
