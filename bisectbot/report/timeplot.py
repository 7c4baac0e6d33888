"""A plot of times with their intervals, a row each, on a logarithmic axis: places in pixels for an SVG template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 760
LEFT, RIGHT = 130, 620  # between them the axis; before it the row's name, behind it its figure
TOP, ROW = 14, 26
_AXIS_ROOM = 44  # below the rows: ticks and the axis' name
_LEAST_DECADES = 2


@dataclass(frozen=True)
class Span:
    """What is known of a time, in seconds: `high` is infinite where only a lower bound is known, `mean` None then."""

    name: str
    low: float
    high: float
    mean: float | None
    figure: str  # the same in words
    kind: str  # a word for the template: how it is drawn


@dataclass(frozen=True)
class Bar:
    """A span in its place."""

    span: Span
    y: int
    left: float
    right: float
    mean: float | None
    open_end: bool  # it goes on beyond the axis


@dataclass(frozen=True)
class Tick:
    """A power of ten on the axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Axis:
    """Powers of ten, from 10**low to 10**high seconds."""

    low: int
    high: int

    def place(self, seconds: float) -> float:
        """Return where a time is; what is beyond an end is at that end."""
        decades = math.log10(seconds) if 0 < seconds < math.inf else (math.inf if seconds else -math.inf)
        share = (decades - self.low) / (self.high - self.low)
        return round(LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share)), 1)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """One for each power of ten."""
        return tuple(Tick(self.place(10.0**power), in_units(10.0**power)) for power in range(self.low, self.high + 1))


@dataclass(frozen=True)
class Plot:
    """All that the template draws."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    width: int
    height: int
    bottom: int  # of the rows: where the axis is


def axis_for(spans: Sequence[Span]) -> Axis:
    """Return the axis that holds all finite times of these spans."""
    times = [time for span in spans for time in (span.low, span.high) if 0 < time < math.inf] or [1.0]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    return Axis(low, max(high, low + _LEAST_DECADES))


def draw(spans: Sequence[Span], axis: Axis) -> Plot:
    """Return the plot of these spans, from top to bottom."""
    bars = tuple(_bar(span, TOP + ROW * number + ROW // 2, axis) for number, span in enumerate(spans))
    bottom = TOP + ROW * len(spans) + ROW // 4
    return Plot(bars, axis.ticks, WIDTH, bottom + _AXIS_ROOM, bottom)


def _bar(span: Span, y: int, axis: Axis) -> Bar:
    mean = None if span.mean is None else axis.place(span.mean)
    return Bar(span, y, axis.place(span.low), axis.place(span.high), mean, math.isinf(span.high))


def in_units(seconds: float) -> str:
    """Return a time with two digits that count and the unit that suits it: 120 us, 4.5 ms, 0.28 s, 12 s."""
    for unit, size in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 100 * size:
            return f"{_two(seconds / size)} {unit}"
    return f"{_two(seconds)} s"


def _two(value: float) -> str:
    if value <= 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(value)))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
