"""The timeline as a picture: places in pixels for an SVG template, with what is too small to be seen drawn together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from bisectbot.render import seconds as in_units
from bisectbot.report.evidence import count
from bisectbot.report.hours import local
from bisectbot.report.timeline import BOT, BUILDER, FIRST_HOST, Kind, Mark, Sign, Span, Timeline
from bisectbot.visible import cut

WIDTH = 1000
_LEFT, _RIGHT = 128, 968  # between them the axis
_TOP, _LANE, _BAR = 30, 46, 26  # the first lane, from lane to lane, and how high a bar is
_LEGEND = 24  # a row of it
_LEAST = 2.0  # pixels: smaller stretches, and such that are closer together, become one
_NEAR = 9.0  # pixels between two marks of one kind that become one
_STEPS = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
_MOST_TICKS = 9
_DAY = 86400
_NAME = 16  # characters of a lane's name
_CLASSES = {
    Kind.BUILD: "build",
    Kind.STORE: "store",
    Kind.BOOT: "boot",
    Kind.PROBE: "probe",
    Kind.HOME: "home",
    Kind.WAIT: "wait",
    Kind.LOST: "lost",
    Kind.STOP: "stop",
    Kind.ASLEEP: "asleep",
}


@dataclass(frozen=True)
class Bar:
    """A rectangle; `style` is a class for the template."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass(frozen=True)
class Sticker:
    """A sign at a place."""

    x: float
    y: float
    style: str
    title: str


@dataclass(frozen=True)
class Tick:
    """A time of day on the axis; a new day is drawn stronger."""

    x: float
    text: str
    day: str  # at the first tick of a day, else nothing


@dataclass(frozen=True)
class Name:
    """A lane's name."""

    y: float
    text: str
    full: str


@dataclass(frozen=True)
class Key:
    """An entry of the legend: a kind of bar, or a sign."""

    x: float
    y: float
    style: str
    text: str
    sign: bool


@dataclass(frozen=True)
class Picture:
    """All that the template draws."""

    bars: tuple[Bar, ...]
    stickers: tuple[Sticker, ...]
    ticks: tuple[Tick, ...]
    names: tuple[Name, ...]
    legend: tuple[Key, ...]
    width: int
    height: int
    top: int
    bottom: int
    left: int
    right: int
    title: str


@dataclass(frozen=True)
class _Scale:
    """From seconds since the epoch to pixels."""

    began: float
    ended: float

    def x(self, at: float) -> float:
        share = (at - self.began) / max(1e-6, self.ended - self.began)
        return _LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, share))


def draw(timeline: Timeline) -> Picture | None:
    """Return the picture; None where there is no time to draw."""
    if timeline.wall <= 0:
        return None
    scale = _Scale(timeline.began, timeline.ended)
    order = (BUILDER, *range(FIRST_HOST, len(timeline.lanes)), BOT)
    tops = {lane: _TOP + _LANE * place for place, lane in enumerate(order)}
    bars = tuple(bar for lane in order for bar in _bars(timeline, lane, tops[lane], scale))
    stickers = tuple(one for lane in order for one in _stickers(timeline, lane, tops[lane], scale))
    bottom = _TOP + _LANE * len(order)
    legend = tuple(_legend(timeline, bottom + 52))
    last = max((key.y for key in legend), default=bottom)
    return Picture(
        bars=bars,
        stickers=stickers,
        ticks=tuple(_ticks(scale)),
        names=tuple(Name(tops[lane] + 18, cut(timeline.lanes[lane], _NAME), timeline.lanes[lane]) for lane in order),
        legend=legend,
        width=WIDTH,
        height=round(last + 16),
        top=_TOP - 8,
        bottom=bottom,
        left=_LEFT,
        right=_RIGHT,
        title=f"Timeline of {in_units(timeline.wall)}, {local(timeline.began):%Y-%m-%d %H:%M} to "
        f"{local(timeline.ended):%Y-%m-%d %H:%M}",
    )


# --- bars --------------------------------------------------------------------------------------


def _bars(timeline: Timeline, lane: int, top: float, scale: _Scale) -> Iterator[Bar]:
    """Yield a lane's bars: at most a few for every two pixels, however many spans there are."""
    spans = sorted((span for span in timeline.spans if span.lane == lane), key=lambda one: (one.start, one.end))
    for big, group in groupby(_gathered(spans, scale), key=len):
        for members in group:
            yield from _one(members[0], top, scale) if big == 1 else _together(members, top, scale)


def _gathered(spans: Iterable[Span], scale: _Scale) -> Iterator[list[Span]]:
    """Yield spans alone if they can be seen, else those that lie together."""
    group: list[Span] = []
    for span in spans:
        small = scale.x(span.end) - scale.x(span.start) < _LEAST
        if group and (not small or scale.x(span.start) - scale.x(group[-1].end) >= _LEAST):
            yield group
            group = []
        if small:
            group.append(span)
        else:
            yield [span]
    if group:
        yield group


def _one(span: Span, top: float, scale: _Scale) -> Iterator[Bar]:
    told = f"{span.label}: {span.outcome}" if span.outcome else span.label
    runs = f", {count(span.count, 'run')}" if span.count > 1 else ""
    title = f"{span.kind}: {told}{runs}; {_when(span.start, span.end)}"
    yield _bar(scale.x(span.start), scale.x(span.end), (top, _BAR), _CLASSES[span.kind], title)


def _together(spans: Sequence[Span], top: float, scale: _Scale) -> Iterator[Bar]:
    """Yield one bar cut lengthwise: each kind has the share of its height that it has of the time."""
    kinds = {kind: [span for span in spans if span.kind is kind] for kind in Kind}
    spent = {kind: sum(span.seconds for span in some) or 1e-3 * len(some) for kind, some in kinds.items() if some}
    told = ", ".join(f"{len(kinds[kind])} x {kind} ({in_units(time)})" for kind, time in spent.items())
    title = f"{told}; {_when(spans[0].start, spans[-1].end)}"
    whole, y = sum(spent.values()), top
    for kind, time in spent.items():
        height = _BAR * time / whole
        yield _bar(scale.x(spans[0].start), scale.x(spans[-1].end), (y, height), _CLASSES[kind], title)
        y += height


def _bar(left: float, right: float, rows: tuple[float, float], style: str, title: str) -> Bar:
    width = max(1.0, right - left)
    return Bar(round(min(left, _RIGHT - 1), 1), round(rows[0], 1), round(width, 1), round(rows[1], 1), style, title)


def _when(start: float, end: float) -> str:
    return f"{local(start):%a %H:%M:%S}, {in_units(end - start)}"


# --- signs -------------------------------------------------------------------------------------


def _stickers(timeline: Timeline, lane: int, top: float, scale: _Scale) -> Iterator[Sticker]:
    for sign in Sign:
        marks = [mark for mark in timeline.marks if mark.lane == lane and mark.sign is sign]
        for group in _close(sorted(marks, key=lambda one: one.at), scale):
            yield Sticker(round(scale.x(group[0].at), 1), top + _BAR + 7, sign.name.lower(), _told(sign, group))


def _close(marks: Iterable[Mark], scale: _Scale) -> Iterator[list[Mark]]:
    group: list[Mark] = []
    for mark in marks:
        if group and scale.x(mark.at) - scale.x(group[0].at) >= _NEAR:
            yield group
            group = []
        group.append(mark)
    if group:
        yield group


def _told(sign: Sign, marks: Sequence[Mark]) -> str:
    first = f"{local(marks[0].at):%a %H:%M:%S}"
    if len(marks) == 1:
        return f"{sign}: {marks[0].label}; {first}"
    return f"{sign}, {len(marks)} times; the first: {marks[0].label}; {first}"


# --- axis and legend ---------------------------------------------------------------------------


def _ticks(scale: _Scale) -> Iterator[Tick]:
    """Yield round local times; each that begins a day has the date too, and so has the first."""
    length = scale.ended - scale.began
    step = next((one for one in _STEPS if length / one <= _MOST_TICKS), 4 * _STEPS[-1])
    zone = (local(scale.began).utcoffset() or timedelta()).total_seconds()
    at = -(-(scale.began + zone) // step) * step - zone
    form = "%H:%M:%S" if step < 60 else "%H:%M"  # noqa: PLR2004  a minute
    seen = ""
    while at <= scale.ended:
        day = f"{local(at):%a %d %b}"
        yield Tick(round(scale.x(at), 1), f"{local(at):{form}}", "" if day == seen else day)
        seen, at = day, at + step


def _legend(timeline: Timeline, y: float) -> Iterator[Key]:
    """Yield what there is, in rows that the picture's width holds."""
    kinds = [kind for kind in Kind if any(span.kind is kind for span in timeline.spans)]
    signs = [sign for sign in Sign if any(mark.sign is sign for mark in timeline.marks)]
    x = float(_LEFT)
    words: tuple[Kind | Sign, ...] = (*kinds, *signs)
    for word in words:
        width = 34 + 7.2 * len(word)
        if x + width > _RIGHT:
            x, y = float(_LEFT), y + _LEGEND
        style = word.name.lower() if isinstance(word, Sign) else _CLASSES[word]
        yield Key(x, y, style, word.value, isinstance(word, Sign))
        x += width
