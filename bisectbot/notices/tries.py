"""How long to wait before a notice that wasn't taken is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

from bisectbot.notices.due import Notice

_PAUSES = (60.0, 120.0, 300.0, 900.0, 1800.0)  # seconds; the last one for ever


@dataclass
class Tries:
    """What one process has tried in vain; another one begins anew. Times are those of a clock's now()."""

    _failed: dict[Notice, tuple[int, float]] = field(default_factory=dict)  # how often, and when to try again

    def failed(self, notice: Notice, now: float) -> int:
        """Take note of a failure, and return how often it has failed now."""
        times = self._failed.get(notice, (0, 0.0))[0] + 1
        self._failed[notice] = (times, now + _PAUSES[min(times, len(_PAUSES)) - 1])
        return times

    def done(self, notice: Notice) -> None:
        """Forget it."""
        self._failed.pop(notice, None)

    def may(self, notice: Notice, now: float) -> bool:
        """Whether its pause is over."""
        return now >= self.at(notice, now)

    def at(self, notice: Notice, now: float) -> float:
        """Return when it may be tried."""
        return self._failed.get(notice, (0, now))[1]
