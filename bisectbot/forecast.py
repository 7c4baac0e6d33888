"""How long it will still take, from what this session's own steps took."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median

from bisectbot.facts import State
from bisectbot.fit import Fit, Forecast
from bisectbot.plan import Budget
from bisectbot.ports import Clock

# Of log(took / told). By `bench/search --forecast`, where all builds take alike: with one step done, and with more.
# That builds and boots differ comes on top; assumed.
_FROM_ONE, _FROM_MORE, _UNSURE = 0.3, 0.15, 0.2


def ahead(state: State, remaining: int | None) -> Forecast | None:
    """Return what `remaining` more commits will take in a plain bisection; None before the first is judged.

    A real machine's way home is part of each boot.
    """
    if not remaining:
        return None
    found = of_steps([_seconds(state, commit) for commit, _ in state.judged()], remaining)
    boots = len({trial.boot for known in state.trials.values() for trial in known})
    if found is None:
        return None
    each = boots / len(state.judged())
    return replace(found, boots=remaining * each, spread=math.hypot(found.spread, _UNSURE))


def seconds_left(state: State, remaining: int) -> float | None:
    """Return the seconds of the same."""
    found = ahead(state, remaining)
    return None if found is None else found.seconds


def of_steps(steps: Sequence[float], remaining: int) -> Forecast | None:
    """Return what so many more steps will take, from the seconds of those that are done; a boot for each.

    The first build begins with nothing and takes many times as long as those after it: it counts only while it is all
    that is known. The median, as one commit that hangs mustn't stretch all that follow.
    """
    if not steps:
        return None
    usual = median(steps[1:] or steps)
    return Forecast(usual * remaining, _FROM_ONE if len(steps) == 1 else _FROM_MORE, float(remaining))


def _seconds(state: State, commit: str) -> float:
    """Return what a commit took: its build, unless it was in the store, its boots and its trials."""
    built, trials = state.builds.get(commit), state.trials.get(commit, ())
    build = 0.0 if built is None or built.from_store else built.seconds
    boots = {trial.boot: trial.boot_seconds for trial in trials}
    return build + sum(boots.values()) + _home_seconds(state, boots) + sum(trial.probe_seconds for trial in trials)


def _home_seconds(state: State, boots: Collection[int]) -> float:
    """Return what the ways home after some boots took; one that is still going on counts like the others."""
    took = {home.boot: home.homed.seconds for home in state.homecomings}
    usual = median(took.values()) if took else 0.0
    return sum(took.get(boot, usual) for boot in boots)


def seconds_of_budget(state: State, clock: Clock) -> float | None:
    """Return the seconds of work that are left of the budget, never below 0; None if it has no end."""
    budget = state.budget
    since = clock.wall() - state.latest if state.tick is None else clock.now() - state.tick
    return _left(budget, state.spent + max(0.0, since), clock.wall())


def _left(budget: Budget, spent: float, wall: float) -> float | None:
    left = [] if budget.max_seconds is None else [budget.max_seconds - spent]
    left += [] if budget.until is None else [budget.until - wall]
    return max(0.0, min(left)) if left else None


def fit_of(state: State, ahead: Forecast | None) -> Fit | None:
    """Return whether what is ahead fits into the budget, as of the latest row.

    None without a budget, and where an answer is there already. A budget that is used up is given anew by a resume.
    """
    budget, over = state.budget, state.paused is not None and state.paused.why == "budget"
    if over:
        budget, state = Budget(budget.max_seconds, None, budget.max_boots), replace(state, spent=0.0, spent_boots=0)
    seconds = _left(budget, state.spent, state.latest)
    if ahead is None or state.found is not None or state.answered or (seconds is None and budget.max_boots is None):
        return None
    boots = None if budget.max_boots is None else max(0, budget.max_boots - state.spent_boots)
    until = budget.until if budget.until is not None and seconds == max(0.0, budget.until - state.latest) else None
    return Fit(ahead, seconds, boots, until, anew=over)


def in_words(seconds: float | None) -> str:
    """Return a time span for people."""
    if seconds is None:
        return "unknown until the first step is over"
    whole = round(seconds)
    if whole < 100:  # noqa: PLR2004  seconds read well up to here
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004
