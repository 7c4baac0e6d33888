"""The machine's own clock."""

from __future__ import annotations

import time


class SystemClock:
    """Real time; fits ports.Clock."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def asleep(self) -> float:
        """Return the seconds that the machine was suspended since it was started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)

    def sleep(self, seconds: float) -> None:
        """Wait; a negative time is no time."""
        time.sleep(max(0.0, seconds))
