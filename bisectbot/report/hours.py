"""A session hour by hour, what it cost, and what was odd: the tables of the morning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from bisectbot.model import Ending, Trial
from bisectbot.render import seconds as in_units
from bisectbot.report.evidence import count
from bisectbot.report.session import Session
from bisectbot.report.timeline import QUEUED, WORK, Kind, Sign, Timeline, within

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# each a multiple of the one before: a boundary of a long row was one of shorter rows before
_STEPS = (5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY)
_MOST_ROWS = 24
_SHORT = 10 * _MINUTE  # a session that is told in one row
_MOST_ODD = 25
_LONG_WAIT = 10 * _MINUTE
_SLOW = 5.0  # times the usual build
_SLOW_LEAST = 5 * _MINUTE
_BUILDS_TO_COMPARE = 4
_STRANGE = (Ending.WRONG_KERNEL, Ending.LOST, Ending.KILLED, Ending.HUNG, Ending.NO_OUTPUT, Ending.REBOOTED)


@dataclass(frozen=True)
class Hour:
    """One row: from when to when, and what was done in that time."""

    when: str  # "22:00 to 23:00"
    builds: int  # that were made; kernels from the store take no time
    boots: int
    probe_seconds: float
    fired: int
    faults: int
    wait_seconds: float
    stop_seconds: float
    best: str  # who was suspected most at its end, if it is known


def local(at: float) -> datetime:
    """Return a moment as this machine's own time of day."""
    return datetime.fromtimestamp(at).astimezone()


def step_for(began: float, ended: float) -> float:
    """Return the seconds of a row: the least that gives at most 24 of them."""
    fitting = (step for step in _STEPS if len(boundaries(began, ended, step)) - 1 <= _MOST_ROWS)
    return next(fitting, _DAY * max(1.0, -(-(ended - began) // (_DAY * (_MOST_ROWS - 1)))))


def boundaries(began: float, ended: float, step: float) -> tuple[float, ...]:
    """Return where rows of `step` seconds begin and end, on round local times; the whole if that is short."""
    if ended - began < _SHORT:
        return began, ended
    zone = (local(began).utcoffset() or timedelta()).total_seconds()
    first = ((began + zone) // step + 1) * step - zone
    inner = []
    while first < ended:
        inner.append(first)
        first += step
    return (began, *inner, ended)


def ends_of_rows(timeline: Timeline) -> tuple[float, ...]:
    """Return the moments at which the rows of hours() end."""
    return boundaries(timeline.began, timeline.ended, step_for(timeline.began, timeline.ended))[1:]


def hours(timeline: Timeline) -> tuple[Hour, ...]:
    """Return the rows, oldest first; none for a session in which nothing was written but its plan."""
    if timeline.wall <= 0:
        return ()
    edges = boundaries(timeline.began, timeline.ended, step_for(timeline.began, timeline.ended))
    best = {one.at: one.text for one in timeline.best}
    return tuple(_hour(timeline, start, end, best.get(end, "")) for start, end in pairwise(edges))


def _hour(timeline: Timeline, start: float, end: float, best: str) -> Hour:
    """A build counts where it ended, a boot where it began; the last row holds its own end too."""
    last = end == timeline.ended

    def here(at: float) -> bool:
        return start <= at < end or (last and at == end)

    def spent(kind: Kind) -> float:
        return sum(within(span, start, end) for span in timeline.of(kind))

    return Hour(
        when=f"{_of_day(start, timeline)} to {_of_day(end, timeline)}",
        builds=sum(here(span.end) for span in timeline.of(Kind.BUILD)),
        boots=sum(here(span.start) for span in timeline.of(Kind.BOOT)),
        probe_seconds=spent(Kind.PROBE),
        fired=sum(mark.count for mark in timeline.marks if mark.sign is Sign.FIRED and here(mark.at)),
        faults=sum(mark.count for mark in timeline.marks if mark.sign is Sign.FAULT and here(mark.at)),
        wait_seconds=spent(Kind.WAIT),
        stop_seconds=spent(Kind.STOP),
        best=best,
    )


def _of_day(at: float, timeline: Timeline) -> str:
    days = timeline.wall > _DAY or local(timeline.began).date() != local(timeline.ended).date()
    form = "%a %H:%M" if days else "%H:%M"
    return f"{local(at):{form}}" if timeline.wall >= _SHORT else f"{local(at):%H:%M:%S}"


# --- what it cost ------------------------------------------------------------------------------


def cost(session: Session, timeline: Timeline) -> tuple[tuple[str, str], ...]:
    """Return what the session used up, a name and its figure each."""
    return tuple(_cost(session, timeline))


def _cost(session: Session, timeline: Timeline) -> Iterator[tuple[str, str]]:
    made, stored = (sum(1 for _ in timeline.of(kind)) for kind in (Kind.BUILD, Kind.STORE))
    began, ended = (f"{local(at):%a %d %b %H:%M}" for at in (timeline.began, timeline.ended))
    yield "from beginning to end", f"{in_units(timeline.wall)}, {began} to {ended}"
    yield "of it somebody worked", _share(session.seconds, timeline.wall)
    yield "builds", f"{made + stored}: {made} made, {stored} from the store"
    yield "boots", str(sum(1 for span in timeline.of(Kind.BOOT)))
    for kind in WORK:
        if spent := timeline.seconds(kind):
            yield f"time: {kind}", _share(spent, session.seconds)
    yield "time: nothing at work", _share(timeline.seconds(Kind.WAIT), session.seconds)
    if lost := timeline.seconds(Kind.LOST):
        yield "time: lost with what didn't get done", _share(lost, session.seconds)
    yield "stops", f"{timeline.paused} in good order, {timeline.killed} killed" if _stops(timeline) else "none"


def _stops(timeline: Timeline) -> int:
    return timeline.paused + timeline.killed


def _share(part: float, whole: float) -> str:
    return f"{in_units(part)} ({part / whole:.0%})" if whole > 0 else in_units(part)


# --- what was odd ------------------------------------------------------------------------------


def odd(session: Session, timeline: Timeline) -> tuple[str, ...]:
    """Return what a person would ask about, a line each, at most 25; nothing if it went as it should."""
    counted = Counter(_odd(session, timeline)).items()
    told = [text if number == 1 else f"{text} ({number} times)" for text, number in counted]
    more = len(told) - _MOST_ODD
    return (*told[:_MOST_ODD], f"and {more} more") if more > 0 else tuple(told)


def _odd(session: Session, timeline: Timeline) -> Iterator[str]:
    for span in timeline.of(Kind.STOP):
        if span.outcome == QUEUED:
            continue
        word = "killed, and went on" if span.outcome == "killed" else f"stopped ({span.outcome}), and went on"
        yield f"{local(span.start):%H:%M}: {word} after {in_units(span.seconds)}"
    if faults := sum(mark.count for mark in timeline.marks if mark.sign is Sign.FAULT):
        yield f"{count(faults, 'fault')} of ours, no evidence about any commit"
    yield from timeline.odd
    yield from _strange(trial for step in session.steps for trial in step.trials)
    yield from _slow(timeline)
    for span in timeline.of(Kind.WAIT):
        if span.seconds >= _LONG_WAIT:
            yield f"{local(span.start):%H:%M}: nothing was at work for {in_units(span.seconds)}"


def _strange(trials: Iterable[Trial]) -> Iterator[str]:
    """Tell of endings that are rarely a kernel's doing."""
    for ending, number in Counter(trial.ending for trial in trials if trial.ending in _STRANGE).items():
        yield f"{count(number, 'trial')} ended with: {ending}"


def _slow(timeline: Timeline) -> Iterator[str]:
    """Tell of builds that took many times as long as the others; the first one has everything to do."""
    others = [*timeline.of(Kind.BUILD)][1:]
    if len(others) < _BUILDS_TO_COMPARE:
        return
    usual = median(span.seconds for span in others)
    for span in others:
        if span.seconds > max(_SLOW_LEAST, _SLOW * usual):
            yield f"{span.label} took {in_units(span.seconds)}, others about {in_units(usual)}"
