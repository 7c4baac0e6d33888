"""An answer that is there, and time left of a budget: how much surer it is made, and for how long."""

from __future__ import annotations

from bisectbot.facts import State
from bisectbot.search.policy import Costs, mean_seconds
from bisectbot.search.posterior import Belief, Seen

_DOUBT = 0.1  # of what was allowed, that is left
_LEAST_SECONDS = 15 * 60.0
_FIRES, _BOOTS = 3, 2  # that the culprit itself has to have: whoever reads "it fired once" wants to see it again
_CHEAP = 0.25  # of the time for confirming, that showing it may cost


def sharper(chance: float) -> float:
    """Return a probability with ten times less doubt."""
    return 1 - _DOUBT * (1 - chance)


def seconds_for(state: State) -> float:
    """Return how long an answer may be confirmed: for as long as it took to be found, or a quarter of an hour."""
    return max(_LEAST_SECONDS, state.found_at)


def confirming(state: State) -> bool:
    """Whether an answer is being confirmed; afterwards, and at the end, what was asked for is enough again."""
    if state.found is None or state.answered or state.paused:
        return False
    return state.worked - state.found_at < seconds_for(state)


def shown(state: State, seen: Seen, belief: Belief, costs: Costs) -> bool:
    """Whether the culprit itself has fired often enough, or that would take too long."""
    fired = [fires for _, fires in seen.boots if fires]
    lacking = max(_FIRES - sum(fired), _BOOTS - len(fired))
    return lacking <= 0 or lacking * (costs.boot + mean_seconds(belief) * costs.pace) > _CHEAP * seconds_for(state)
