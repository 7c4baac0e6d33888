"""How long it will still take, from what this session's own steps took."""

from __future__ import annotations

from bisectbot.facts import State


def seconds_left(state: State, remaining: int) -> float | None:
    """Return the seconds that `remaining` more commits will take, or None before the first is judged."""
    judged = len(state.judged())
    return state.worked / judged * remaining if judged else None


def in_words(seconds: float | None) -> str:
    """Return a time span for people."""
    if seconds is None:
        return "unknown until the first step is over"
    whole = round(seconds)
    if whole < 100:  # noqa: PLR2004  seconds read well up to here
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004
