"""One run of the reproducer as far as it got, and for how long it is known to have been at work.

Two clocks are in play. The guest's is data from a stranger: whatever is told by it counts for no more than what went by
on ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bisectbot.console.guest import Beat, End, Out, OutCut
from bisectbot.model import Ending
from bisectbot.probe.counts import read_counts, told_seconds

LEAST = 0.001  # seconds of exposure of whatever fired
_LONGEST_MS = 10**10  # init's number may be any
_SLACK = 0.01  # seconds, and of one: what the reproducer's length may differ by from init's, which is rounded
_STDOUT = 1
_TIMES = ("beat", "seconds")  # members of a beat that go on whether or not any work is done


class Beats:
    """The seconds of work that a run's beats prove: the reproducer's own if it tells any, else init's.

    In both cases `passed` is the seconds of our clock since the start that no earlier run has laid claim to.
    """

    def __init__(self) -> None:
        self._by_init = 0.0
        self._own: float | None = None
        self._told = 0.0
        self._counters: Mapping[str, object] = {}

    @property
    def proven(self) -> float:
        """Seconds."""
        return self._by_init if self._own is None else self._own

    def of_init(self, seconds: int, passed: float) -> None:
        """Take a beat of init's: the kernel still scheduled so far into the run."""
        self._by_init = max(self._by_init, min(seconds, passed))

    def of_reproducer(self, counts: Mapping[str, object], passed: float) -> None:
        """Take the reproducer's counts; those without `seconds` are no beat. Seconds without progress add nothing."""
        seconds = told_seconds(counts)
        if seconds is None:
            return
        counters = {name: value for name, value in counts.items() if name not in _TIMES}
        more = max(0.0, seconds - self._told) if self._moved(counters) else 0.0
        self._own = min((self._own or 0.0) + more, passed)
        self._told, self._counters = seconds, counters

    def _moved(self, counters: Mapping[str, object]) -> bool:
        """Whether there is progress since the beat before. A beat that counts nothing is believed."""
        if not counters:
            return True
        return counters != self._counters if self._counters else any(counters.values())


@dataclass
class Run:
    """A run that has begun. All times are ours, in seconds since the machine was started.

    A slow console may bring whole runs at once, long after they were: only all of a boot's runs together are bound by
    the time that went by.
    """

    trial: int
    after: float  # seconds of our clock that are spoken for: by the boot's earlier runs
    since: float  # when the first word of it came
    counts: dict[str, object] = field(default_factory=dict)
    cut: bool = False
    end: End | None = None
    until: float = 0.0  # when its end came
    beats: Beats = field(default_factory=Beats)

    def learn(self, fact: object, now: float, *, sound: bool) -> None:
        """Take a fact about the run. What comes while the kernel may be crashing (not `sound`) proves no work."""
        match fact:
            case Out(_, fd, text) if fd == _STDOUT and (counts := read_counts(text)):
                self.counts = counts
                if sound:
                    self.beats.of_reproducer(counts, now - self.after)
            case Beat(_, seconds) if sound:
                self.beats.of_init(seconds, now - self.after)
            case OutCut():
                self.cut = True
            case End():
                self.end, self.until = fact, now
            case _:
                pass

    def exposure(self, ending: Ending, now: float) -> float:
        """Return the seconds of work that count, of a run that was over by `now`: none of a dead reproducer's."""
        match ending:
            case Ending.FIRED:
                return max(LEAST, self._length(now))
            case Ending.CLEAN:
                return self._length(now)
            case Ending.CRASHED | Ending.REBOOTED | Ending.LOST:
                return self.beats.proven
            case _:
                return 0.0

    def _length(self, now: float) -> float:
        """Return how long it worked by its own word, where that can be; else by init's clock; else by ours."""
        over = self.until if self.end else now
        length = max(0.0, over - self.since)
        if self.end and self.end.ms > 0:
            length = min(self.end.ms, _LONGEST_MS) / 1000
        own = told_seconds(self.counts)
        worked = own if own and own <= length * (1 + _SLACK) + _SLACK else length
        return min(worked, max(0.0, over - self.after))
