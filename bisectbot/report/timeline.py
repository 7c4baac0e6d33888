"""What a session did when: stretches of work and moments on lanes, from which the picture and the tables are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

BUILDER, BOT, FIRST_HOST = 0, 1, 2  # numbers of lanes; hosts come in the order in which they were first used
QUEUED = "queued"  # outcome of a span in which nobody had worked on it yet


class Kind(StrEnum):
    """What went on in a stretch. The values are the words of the picture's legend."""

    BUILD = "build"
    STORE = "kernel from the store"
    BOOT = "boot"
    PROBE = "probe"
    HOME = "way home"
    WAIT = "wait"  # somebody worked on the session, and no lane did
    LOST = "ended before it was done"
    STOP = "stopped"  # nobody worked on it
    ASLEEP = "machine asleep or clock set"


WORK = (Kind.BUILD, Kind.BOOT, Kind.PROBE, Kind.HOME)  # what a session's time is wanted for


class Sign(StrEnum):
    """What happened at a moment. The values are the words of the picture's legend."""

    FIRED = "fired"
    FAULT = "fault of ours"
    NOTE = "of note"
    NOTICE = "notice sent"
    FOUND = "answer"


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds since the epoch; `count` pieces of work of one kind may be one stretch."""

    lane: int
    kind: Kind
    start: float
    end: float
    label: str  # data from outside may be in it
    outcome: str = ""
    count: int = 1

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.start


@dataclass(frozen=True)
class Mark:
    """A moment; `count` that lie together may be one."""

    lane: int
    sign: Sign
    at: float
    label: str
    count: int = 1


@dataclass(frozen=True)
class Best:
    """Who was suspected most at a moment."""

    at: float
    text: str


@dataclass(frozen=True)
class Timeline:
    """The whole session on a clock that never goes back. Spans of one lane are in order and don't overlap."""

    lanes: tuple[str, ...] = ("builder", "bot")
    spans: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()
    began: float = 0.0
    ended: float = 0.0
    odd: tuple[str, ...] = ()  # what was out of the ordinary, a line each
    killed: int = 0  # how often a process ended without a word
    paused: int = 0  # how often it stopped in good order
    best: tuple[Best, ...] = field(default=())  # at the ends of the rows of the hourly table, where it is known

    @property
    def wall(self) -> float:
        """Seconds from its beginning to its newest fact."""
        return self.ended - self.began

    def of(self, *kinds: Kind) -> Iterator[Span]:
        """Yield the spans of these kinds."""
        return (span for span in self.spans if span.kind in kinds)

    def seconds(self, *kinds: Kind) -> float:
        """Return how long these kinds took together; work side by side counts twice."""
        return sum(span.seconds for span in self.of(*kinds))


def within(span: Span, start: float, end: float) -> float:
    """Return how many seconds of a span lie between two moments."""
    return max(0.0, min(span.end, end) - max(span.start, start))


def gaps(spans: Iterable[Span], start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield what none of these spans covers between two moments."""
    reached = start
    for span in sorted(spans, key=lambda one: one.start):
        if span.start > reached:
            yield reached, min(span.start, end)
        reached = max(reached, span.end)
        if reached >= end:
            return
    if reached < end:
        yield reached, end
