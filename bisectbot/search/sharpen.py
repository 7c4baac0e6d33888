"""Whether to let a commit that is known to be bad fire again: a better known rate makes the last silence shorter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bisectbot.search.dag import Floats
from bisectbot.search.posterior import GOOD, Belief, Knowledge, Problem

_SURE_ENOUGH = 0.3  # of the likeliest commit: before that, fires come by themselves
_TRIED = (1, 2, 4)  # numbers of further fires
_MARGIN = 0.95
_STEPS = np.geomspace(0.02, 100.0, 120)  # lengths of a silence, in mean times to fire


@dataclass(frozen=True)
class Wait:
    """A silence that is to be waited for on a commit, and what the other way would cost.

    `spent` [rates]: what the silence so far counts for; `boot` and `pace`: seconds that a boot takes, and one second of
    exposure.
    """

    commit: int
    spent: Floats
    boot: float
    pace: float


def sharpened(problem: Problem, knowledge: Knowledge, belief: Belief, wait: Wait) -> int | None:
    """Return the bad commit to run once more instead of waiting in silence; None if that doesn't pay."""
    shares = _shares(problem, belief, wait.commit)
    inside = float(shares.sum())
    if belief.mass.max() < _SURE_ENOUGH or not 0 < inside < 1:
        return None
    sure = problem.settings.confidence
    allowed = (1 - sure) * (1 - inside) / (sure * inside)
    mean = usual_seconds(belief)
    silent = belief.rates.silence(wait.spent, mean * _STEPS)
    now = _needed(belief.weights, shares / inside, silent, allowed)
    again = _commit(problem, knowledge, belief)
    if again is None:
        return None
    seen = knowledge.seen[again]
    for fires in _TRIED:
        gain = belief.rates.log_likelihood((*seen.boots, *(((mean, 1),) * fires)))
        weights = _reweighted(belief.weights, gain - belief.rates.log_likelihood(seen.boots))
        bought = fires * (wait.boot / (mean * wait.pace) + 1)
        if bought + _needed(weights, shares / inside, silent, allowed) < _MARGIN * now:
            return again
    return None


def usual_seconds(belief: Belief) -> float:
    """Return how long a bad kernel usually runs from fire to fire: by the middle of the rates' distribution."""
    return float(np.exp(-belief.rate_shares @ np.log(belief.rates.lam)))


def _shares(problem: Problem, belief: Belief, commit: int) -> Floats:
    """Return the mass of each class that a commit contains: [K]."""
    held = problem.dag.ancestors(commit)[belief.live]
    masses = belief.mass[belief.live[held]]
    found: Floats = np.bincount(belief.classes[held], weights=masses, minlength=len(belief.weights)).astype(np.float64)
    found[-1] = belief.older
    return found


def _commit(problem: Problem, knowledge: Knowledge, belief: Belief) -> int | None:
    """Return the bad commit that is known least of: it tells most of the common rate. None if none can be tested."""
    fired = (place for place, one in knowledge.seen.items() if one.fires and place != GOOD)
    # with a background rate not all that fired has the bug
    sure = (place for place in fired if _shares(problem, belief, place).sum() >= problem.settings.confidence)
    testable = (place for place in sure if place not in knowledge.untestable)
    return min(testable, key=lambda place: (knowledge.seen[place].fires, place), default=None)


def _needed(weights: Floats, shares: Floats, silent: Floats, allowed: float) -> float:
    """Return the silence, in mean times to fire, after which no more than `allowed` of the mass inside is left."""
    enough = np.flatnonzero((shares @ weights) @ silent <= allowed)
    return float(_STEPS[enough[0]] if len(enough) else _STEPS[-1])


def _reweighted(weights: Floats, logs: Floats) -> Floats:
    found = weights * np.exp(logs - logs.max())
    scaled: Floats = found / np.maximum(found.sum(axis=1), 1e-300)[:, None]
    return scaled
