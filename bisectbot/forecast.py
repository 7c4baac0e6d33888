"""How long it will still take, from what this session's own steps took."""

from __future__ import annotations

from collections.abc import Collection
from statistics import median

from bisectbot.facts import State
from bisectbot.ports import Clock


def seconds_left(state: State, remaining: int) -> float | None:
    """Return the seconds that `remaining` more commits will take, or None before the first is judged.

    A real machine's way home is part of each boot.

    The first build begins with nothing and takes many times as long as those after it: it counts only while it is all
    that is known. The median, as one commit that hangs mustn't stretch all that follow.
    """
    steps = [_seconds(state, commit) for commit, _ in state.judged()]
    return median(steps[1:] or steps) * remaining if steps else None


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
    left = [] if budget.max_seconds is None else [budget.max_seconds - state.spent - max(0.0, since)]
    left += [] if budget.until is None else [budget.until - clock.wall()]
    return max(0.0, min(left)) if left else None


def in_words(seconds: float | None) -> str:
    """Return a time span for people."""
    if seconds is None:
        return "unknown until the first step is over"
    whole = round(seconds)
    if whole < 100:  # noqa: PLR2004  seconds read well up to here
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004
