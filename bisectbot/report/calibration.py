"""The report of `bisectbot calibrate`: what an experiment measured as tables, a plot and sentences; pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime

from bisectbot.calibrate.experiment import Counts
from bisectbot.calibrate.kept import JSON, as_json
from bisectbot.calibrate.result import Calibration, Close, Firing, Found, Row, found
from bisectbot.model import Ending
from bisectbot.render import render
from bisectbot.report.timeplot import Plot, Span, axis_for, draw, in_units
from bisectbot.visible import visible

MARKDOWN, HTML = "calibration.md", "calibration.html"
_NOTHING = "-"


@dataclass(frozen=True)
class Line:
    """How soon a setting fires: a row of a table, each cell a text."""

    setting: str
    good: str  # how its runs on the good kernel ended
    fired: str
    mean: str
    wall: str
    remark: str
    kind: str  # soonest, alike, slower or unfit


@dataclass(frozen=True)
class Tally:
    """What a setting makes of a kernel: a row of a table."""

    setting: str
    kernel: str
    cells: tuple[str, ...]  # seconds, migrations, moves, KVM_RUNs, reads completed, reads retried, mismatches


@dataclass(frozen=True)
class Panel:
    """What the report says of a host."""

    host: str
    arch: str
    kernels: tuple[str, str]  # the releases of the good and the bad one
    verdict: tuple[str, ...]
    args: str  # of the chosen setting; "" if there is none
    lines: tuple[Line, ...]
    tallies: tuple[Tally, ...]
    plot: Plot


@dataclass(frozen=True)
class Page:
    """The report, ready to be rendered."""

    headline: str
    alarm: tuple[str, ...]  # what must not be overlooked
    close: str
    calibration: Calibration
    panels: tuple[Panel, ...]
    began: str
    latest: str
    boots: int


def draw_up(calibration: Calibration) -> Page:
    """Return the report of an experiment, as far as it got."""
    told = tuple(found(calibration, place) for place in calibration.places)
    spans = {one.place.host: tuple(_span(row, one) for row in one.rows) for one in told}
    axis = axis_for([span for row in spans.values() for span in row])  # the same for all hosts, to be compared
    return Page(
        headline=_headline(told),
        alarm=tuple(_alarm(one) for one in told if one.false_alarms),
        close=str(calibration.close),
        calibration=calibration,
        panels=tuple(_panel(one, draw(spans[one.place.host], axis), calibration.close) for one in told),
        began=_iso(calibration.began),
        latest=_iso(calibration.latest),
        boots=len({run.boot for run in calibration.runs}),
    )


def files(calibration: Calibration) -> Mapping[str, str]:
    """Return every file of the report by its name in the session's folder."""
    page = draw_up(calibration)
    return {
        JSON: json.dumps(as_json(calibration), indent=1) + "\n",
        MARKDOWN: render("calibration.md.j2", page),
        HTML: render("calibration.html.j2", page),
    }


def plain_lines(calibration: Calibration) -> list[str]:
    """Return what is printed at the end: a table for each host, and what follows from it."""
    page = draw_up(calibration)
    lines = [line for panel in page.panels for line in (*_plain_table(panel), *panel.verdict, "")]
    return [visible(line) for line in (*lines, *page.alarm)]


def _plain_table(panel: Panel) -> list[str]:
    head = ("delay", "good kernel", "bad fired", "exposure to a fire", "wall", "")
    rows = [(one.setting, one.good, one.fired, one.mean, one.wall, one.remark) for one in panel.lines]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    told = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
    return [f"{panel.host} ({panel.arch})", *told]


# --- sentences ---------------------------------------------------------------------------------------------


def _headline(told: Sequence[Found]) -> str:
    if any(one.false_alarms for one in told):
        return "THE GOOD KERNEL FIRED"
    chosen = [f"{one.soonest.setting} on {one.place.arch}" for one in told if one.soonest]
    lacking = [f"nothing to choose on {one.place.arch}" for one in told if not one.soonest]
    if not chosen:
        return "No setting can be chosen"
    return "Fires soonest: " + ", ".join((*chosen, *lacking))


def _alarm(one: Found) -> str:
    rows = ", ".join(f"{row.setting} ({row.good_fired} of {len(row.good)} runs)" for row in one.false_alarms)
    return (
        f"THE GOOD KERNEL FIRED on {one.place.host} with {rows}. It must never: either it has the bug, too, or the "
        "reproducer sees what isn't there. Nothing is chosen for this architecture, and no bisection with this good "
        "end can be believed."
    )


def _verdict(one: Found, close: Close) -> tuple[str, ...]:
    if one.false_alarms:
        return (_alarm(one),)
    if one.soonest is None:
        more = "" if close is Close.COMPLETE else " so far"
        lack = "there isn't one that fires on the bad kernel and whose runs could all tell"
        return (f"No setting can be chosen{more}: {lack}.",)
    firing = one.soonest.firing
    low, high = firing.bounds
    first = f"{one.soonest.setting} fires soonest: a fire in {_in_units(firing.mean)} of exposure (95 %: "
    alike = ", ".join(str(row.setting) for row in one.alike)
    rest = f"Not distinguishable from it, as the intervals overlap: {alike}." if alike else ""
    return tuple(filter(None, (f"{first}{_in_units(low)} to {_in_units(high)}).", rest)))


def _in_units(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    return in_units(seconds) if math.isfinite(seconds) else "never"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


# --- tables and plots --------------------------------------------------------------------------------------


def _panel(one: Found, plot: Plot, close: Close) -> Panel:
    place = one.place
    return Panel(
        host=place.host,
        arch=str(place.arch),
        kernels=(place.good, place.bad),
        verdict=_verdict(one, close),
        args=" ".join(one.soonest.setting.args) if one.soonest else "",
        lines=tuple(_line(row, one) for row in one.rows),
        tallies=tuple(tally for row in one.rows for tally in _tallies(row)),
        plot=plot,
    )


def _line(row: Row, one: Found) -> Line:
    kind = _kind(row, one)
    told = {"soonest": "soonest", "alike": "not distinguishable from the soonest"}
    return Line(
        setting=str(row.setting),
        good=_endings(row),
        fired=f"{row.firing.fires} of {row.firing.runs}",
        mean=_mean(row.firing),
        wall=_in_units(row.firing.wall_mean),
        remark=row.unfit or told.get(kind, ""),
        kind=kind,
    )


def _tallies(row: Row) -> tuple[Tally, ...]:
    bad = row.count
    return (
        _tally(row, "good", row.usual_seconds, row.usual),
        _tally(row, "bad", bad.seconds if bad else None, bad.counts if bad else None),
    )


def _tally(row: Row, kernel: str, seconds: float | None, counts: Counts | None) -> Tally:
    numbers = tuple(f"{number:,}" for number in astuple(counts)) if counts else (_NOTHING,) * len(fields(Counts))
    return Tally(str(row.setting), kernel, (_in_units(seconds), *numbers))


def _kind(row: Row, one: Found) -> str:
    if row == one.soonest:
        return "soonest"
    if row in one.alike:
        return "alike"
    return "unfit" if row.unfit else "slower"


def _endings(row: Row) -> str:
    counted = {ending: sum(run.ending is ending for run in row.good) for ending in Ending}
    return ", ".join(f"{number} {ending}" for ending, number in counted.items() if number) or _NOTHING


def _mean(firing: Firing) -> str:
    low, high = firing.bounds
    if not firing.exposed:
        return _NOTHING
    if firing.mean is None:
        return f"over {_in_units(low)}"
    return f"{_in_units(firing.mean)} ({_in_units(low)} to {_in_units(high)})"


def _span(row: Row, one: Found) -> Span:
    low, high = row.firing.bounds
    return Span(str(row.setting), low, high, row.firing.mean, _figure(row.firing), _kind(row, one))


def _figure(firing: Firing) -> str:
    if not firing.exposed:
        return "not measured"
    return _in_units(firing.mean) if firing.fires else f"never in {_in_units(firing.exposed)}"
