"""The options that bound a session's work: --until, --max-hours and --max-boots."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from bisectbot.errors import ConfigError
from bisectbot.plan import Budget

_Command = TypeVar("_Command", bound=Callable[..., Any])
_HOUR = 3600.0  # seconds
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_OPTIONS = (
    click.option("--until", metavar="TIME", help="Then it pauses: 07:00, or 2026-11-24T07:00."),
    click.option(
        "--max-hours", type=click.FloatRange(0, min_open=True), metavar="H", help="Of work; then it pauses; resumable."
    ),
    click.option("--max-boots", type=click.IntRange(1), metavar="N", help="After as many boots it pauses; resumable."),
)


def budget_options(command: _Command) -> _Command:
    """Add the options; budget() makes a Budget of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def budget(said: Mapping[str, Any], now: float) -> Budget | None:
    """Return the budget that a command's options give at `now` (seconds since the epoch); None if they give none."""
    until, hours, boots = said["until"], said["max_hours"], said["max_boots"]
    if until is None and hours is None and boots is None:
        return None
    return Budget(None if hours is None else hours * _HOUR, None if until is None else moment(until, now), boots)


def moment(text: str, now: float) -> float:
    """Return the moment that --until names, in seconds since the epoch: a time of day is the next such, here."""
    here = datetime.fromtimestamp(now).astimezone()
    found = _next(here, text) if _TIME_OF_DAY.fullmatch(text) else _dated(here, text)
    if found <= here:
        raise ConfigError(f"--until {text}: that is over", hint="give a time to come, say --until 07:00")
    return found.timestamp()


def again(budget: Budget, now: float) -> Budget:
    """Return a budget for another spell: an end that has passed comes a day, or several days, later."""
    if budget.until is None or budget.until > now:
        return budget
    then = datetime.fromtimestamp(budget.until).astimezone()
    return Budget(budget.max_seconds, moment(f"{then:%H:%M}", now), budget.max_boots)


def _next(here: datetime, text: str) -> datetime:
    hour, _, minute = text.partition(":")
    # without its zone, so that a day on which the clocks change still has its 07:00
    day = here.replace(tzinfo=None, hour=int(hour), minute=int(minute), second=0, microsecond=0)
    found = day.astimezone()
    return found if found > here else (day + timedelta(days=1)).astimezone()


def _dated(here: datetime, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--until {text}: not a time", hint="say --until 07:00, or a date with it: --until 2026-11-24T07:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=None).astimezone(here.tzinfo)
