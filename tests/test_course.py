"""A clock that is set and a machine that sleeps: noticed, told apart, and kept out of what is counted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from fakes import FakeClock

from bisectbot.course import Course


@dataclass
class _Moved(FakeClock):
    """A clock that somebody sets, on a machine that sleeps."""

    offset: float = 0.0
    slept: float = 0.0

    def wall(self) -> float:
        """Return the time of day as the machine has it."""
        return super().wall() + self.offset + self.slept

    def asleep(self) -> float:
        """Return how long it slept."""
        return self.slept


@pytest.mark.parametrize(
    ("offset", "slept", "told"),
    [
        (0, 0, []),
        (20, 0, []),
        (3600, 0, ["the clock was set forward by 60 min"]),
        (-3600, 0, ["the clock was set back by 60 min"]),
        (0, 7200, ["this machine slept for 2 h 00 min"]),
        (3600, 7200, ["this machine slept for 2 h 00 min", "the clock was set forward by 60 min"]),
        (5, 7200, ["this machine slept for 2 h 00 min"]),
    ],
)
def test_what_happened_to_a_clock_is_told_once(offset: float, slept: float, told: list[str]) -> None:
    """A jump is told by its size and kind, and then no more."""
    clock = _Moved()
    course = Course(clock)
    clock.sleep(1000)
    assert list(course.jumps()) == []
    clock.offset, clock.slept = offset, slept
    assert [note.text for note in course.jumps()] == told
    clock.sleep(1000)
    assert list(course.jumps()) == []
