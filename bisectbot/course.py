"""Whether the clock runs as it should: one that was set, and a machine that slept, are told apart and written down."""

from __future__ import annotations

from collections.abc import Iterator

from bisectbot.facts import Noted
from bisectbot.forecast import in_words
from bisectbot.ports import Clock

_JUMP = 30.0  # seconds off its course before that is worth a note: less is what a time server corrects


class Course:
    """The time of day against the steady clock, which nobody can set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset, self._asleep = self._look()

    def _look(self) -> tuple[float, float]:
        return self._clock.wall() - self._clock.now(), self._clock.asleep()

    def jumps(self) -> Iterator[Noted]:
        """Yield what happened to the clock since it was last looked at."""
        offset, asleep = self._look()
        if abs(offset - self._offset) < _JUMP:
            return
        slept = asleep - self._asleep
        moved = offset - self._offset - slept
        self._offset, self._asleep = offset, asleep
        if slept >= _JUMP:
            yield Noted("clock", f"this machine slept for {in_words(slept)}")
        if abs(moved) >= _JUMP:
            yield Noted("clock", f"the clock was set {'forward' if moved > 0 else 'back'} by {in_words(abs(moved))}")
