"""--until, --max-hours and --max-boots: from the user's words to a budget, on every day of the year."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from bisectbot.cli.budget import again, budget, moment
from bisectbot.errors import ConfigError
from bisectbot.plan import Budget


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live where clocks change twice a year."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _at(text: str) -> float:
    return datetime.fromisoformat(text).astimezone().timestamp()


@pytest.mark.parametrize(
    ("now", "until", "expected"),
    [
        ("2026-11-23T18:00", "07:00", "2026-11-24T07:00"),
        ("2026-11-23T06:59", "7:00", "2026-11-23T07:00"),
        ("2026-11-23T07:00", "07:00", "2026-11-24T07:00"),
        ("2026-12-31T23:30", "00:15", "2027-01-01T00:15"),
        ("2026-10-24T18:00", "07:00", "2026-10-25T07:00"),  # a night of 14 hours
        ("2026-03-28T18:00", "07:00", "2026-03-29T07:00"),  # one of 12
        ("2026-11-23T18:00", "2026-11-25T12:30", "2026-11-25T12:30"),
        ("2026-11-23T18:00", "2026-11-25 12:30", "2026-11-25T12:30"),
        ("2026-11-23T18:00", "2026-11-25T12:30+00:00", "2026-11-25T13:30"),
        ("2026-11-23T18:00", "2027-06-01T12:30", "2027-06-01T12:30"),  # summer time, told in winter
    ],
)
def test_a_time_of_day_is_the_next_one(now: str, until: str, expected: str) -> None:
    """--until names a moment to come by the clock on the wall, also over a change of that clock."""
    assert moment(until, _at(now)) == _at(expected)


@pytest.mark.parametrize("until", ["24:00", "7", "noon", "2026-11-22T07:00", "07:00:00", "-1:00", "7:5", ""])
def test_what_is_no_time_to_come_is_a_mistake(until: str) -> None:
    """The message names the option, and says how a time is written."""
    with pytest.raises(ConfigError, match="--until") as caught:
        moment(until, _at("2026-11-23T18:00"))
    assert "07:00" in caught.value.hint


def test_no_option_is_no_budget() -> None:
    """Without options a resumed session keeps the budget it has."""
    said = {"until": None, "max_hours": None, "max_boots": None}
    assert budget(said, 0.0) is None
    assert budget({**said, "max_hours": 0.5}, 0.0) == Budget(max_seconds=1800.0)
    assert budget({**said, "max_boots": 7}, 0.0) == Budget(max_boots=7)


def test_a_moment_that_has_come_comes_again() -> None:
    """A session resumed after its --until goes on to the same time of day; one resumed before keeps it."""
    before, then, after = _at("2026-11-24T06:00"), _at("2026-11-24T07:00"), _at("2026-11-24T09:00")
    given = Budget(3600.0, then, 40)
    assert again(given, before) == given
    assert again(given, after) == Budget(3600.0, _at("2026-11-25T07:00"), 40)
    assert again(Budget(max_boots=3), after) == Budget(max_boots=3)
