"""What is still to do before an answer, and how far off that may be; figures by `bench/search --forecast`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bisectbot.fit import Forecast
from bisectbot.search.check import Check, checks, remaining
from bisectbot.search.dag import Floats
from bisectbot.search.evidence import Evidence
from bisectbot.search.past import View
from bisectbot.search.policy import Action, Costs, best, choose, enough_silence, entropy
from bisectbot.search.posterior import GOOD, Belief, Knowledge, Problem, Seen, believe

_LEAST_BITS = 0.2  # of a step: at the end each says less, but few are left
_GUESSED_MEAN = 30.0  # seconds from fire to fire, before any was seen
_SHORT_MEAN = 10.0  # likewise, for which commit comes first: a short one lets it be the middle one
_FURTHER_FIRES = 2  # that the bad end is likely to have before anything else is run
# Measured by `bench/search --forecast`: what the search's share of a forecast is multiplied by, so that it is as likely
# too long as too short, and the spread of log(took / told). From so many open bits on; before the bad end is proven, by
# its fires.
_FROM_BITS = ((2.0, 0.75, 0.30), (0.5, 0.65, 0.22), (0.0, 1.0, 0.12))
_FROM_FIRES = (0.75, 0.60, 0.45)
_NO_CHECK = Check(0, 0.0, 0.0)


@dataclass(frozen=True)
class Left:
    """What is still to do: steps, seconds (None before the rate is known), and all that is known for a budget."""

    steps: float
    seconds: float | None
    ahead: Forecast


def left(view: View, read: Evidence, action: Action) -> Left:
    """Return about what an answer still takes: the open bits at the price of this action, and the last silence.

    Bits get dearer towards the end, which the last silence on one commit, wanted once, stands for.
    """
    problem, knowledge = view.problem, read.knowledge
    at_bad = knowledge.seen.get(problem.bad, Seen())
    if at_bad.fires < problem.settings.first_fires:
        bits = float(entropy_of(problem.prior))
        return Left(bits + problem.settings.first_fires, None, _guess(view, read, at_bad))
    belief = believe(problem, knowledge)
    bits, costs = open_bits(problem, belief), read.costs
    # a run that goes on is cheap and says little: what a step costs, a fresh one tells
    fresh = best(problem, knowledge, belief, replace(costs, booted=None)) or action
    steps = bits / max(fresh.bits, _LEAST_BITS)
    last = costs.boot + enough_silence(problem, belief) * costs.pace
    seconds = steps * fresh.cost + last * min(1.0, bits)
    share, spread = next((share, spread) for least, share, spread in _FROM_BITS if bits >= least)
    check = checks(problem, belief, costs) if view.check else _NO_CHECK
    told = share * seconds + check.seconds
    boots = share * (steps + min(1.0, bits)) + check.boots
    return Left(steps + 1, told, Forecast(told, math.hypot(spread, read.unsure), boots))


def check_ahead(problem: Problem, belief: Belief, read: Evidence, seen: Seen, *, built: bool) -> Forecast:
    """Return what the check at the end still takes after what was `seen`; `built`: whether its kernel is."""
    rest = remaining(problem, belief, read.costs, seen)
    *_, (_, _, spread) = _FROM_BITS
    seconds = rest.seconds + (0.0 if built else read.costs.build)
    return Forecast(seconds, math.hypot(spread, read.unsure), rest.boots)


def _guess(view: View, read: Evidence, at_bad: Seen) -> Forecast:
    """Return the forecast before the bad end is proven: as if it had been, at the rate that is known or guessed."""
    problem, costs = view.problem, read.costs
    # the middle of what the mean may be: that of a Gamma distribution
    mean = at_bad.seconds / (at_bad.fires - 1 / 3) if at_bad.fires else max(at_bad.seconds, _GUESSED_MEAN)
    proven = problem.settings.first_fires + _FURTHER_FIRES
    fired = Knowledge({problem.bad: Seen(((mean, 1),) * proven)})
    then = replace(read, knowledge=fired, costs=_once_built(problem, costs))
    step = choose(problem, then.knowledge, then.costs)
    more = left(view, then, step).ahead if isinstance(step, Action) else Forecast(0.0, 0.0, 0.0)
    fires = proven - at_bad.fires
    seconds = costs.setup(problem.bad) - costs.boot + fires * (costs.boot + mean * costs.pace)
    spread = math.hypot(_FROM_FIRES[min(at_bad.fires, len(_FROM_FIRES) - 1)], read.unsure)
    return Forecast(seconds + more.seconds, spread, fires + more.boots, guess=not at_bad.fires)


def _once_built(problem: Problem, costs: Costs) -> Costs:
    return replace(costs, built=costs.built | {problem.bad}, booted=None)


def open_bits(problem: Problem, belief: Belief) -> float:
    """Return the bits that are still wanted."""
    allowed = float(entropy(np.array(problem.settings.confidence)))
    return max(0.0, entropy_of(np.append(belief.mass, belief.older)) - allowed)


def entropy_of(shares: Floats) -> float:
    """Return the bits of a choice with these probabilities."""
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())


def first_guess(problem: Problem, costs: Costs) -> tuple[int, ...]:
    """Return the commit that comes first once the bad end has fired, if there is one."""
    fires = problem.settings.first_fires + _FURTHER_FIRES
    after = Knowledge({problem.bad: Seen(((_SHORT_MEAN, 1),) * fires)})
    step = choose(problem, after, costs)
    return (step.commit,) if isinstance(step, Action) and step.commit not in (GOOD, problem.bad) else ()
