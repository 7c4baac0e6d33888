"""What follows from the runs: for each setting what it does, and for each host the one that fires soonest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from bisectbot.calibrate.experiment import Asked, Case, Counts, Part, Run
from bisectbot.calibrate.setting import Setting
from bisectbot.interval import interval
from bisectbot.model import Arch, Ending


class Close(StrEnum):
    """Why an experiment ended, or that it goes on."""

    RUNNING = "running"
    COMPLETE = "complete"
    OUT_OF_TIME = "out of time"
    INTERRUPTED = "interrupted"
    FAULT = "fault"


@dataclass(frozen=True)
class Place:
    """A host that was measured on, and the releases of its two kernels."""

    host: str
    arch: Arch
    good: str
    bad: str


@dataclass(frozen=True)
class Calibration:
    """An experiment as far as it got; times are seconds since the epoch, commits full hashes."""

    asked: Asked
    places: tuple[Place, ...]
    good: str
    bad: str
    began: float
    latest: float
    close: Close = Close.RUNNING
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Firing:
    """How soon a setting fires on the bad kernel: seconds of exposure until it does, on the machine's clock."""

    fires: int
    runs: int
    exposed: float  # of all runs together
    wall: float  # likewise, with starting the reproducer and hearing of its end

    @property
    def mean(self) -> float | None:
        """Exposed seconds for a fire."""
        return self.exposed / self.fires if self.fires else None

    @property
    def wall_mean(self) -> float | None:
        """Wall seconds for a fire, whatever else a run takes included."""
        return self.wall / self.fires if self.fires else None

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the mean; its upper end is infinite if it never fired."""
        low, high = interval(self.fires, self.exposed)
        return (1 / high if high else math.inf, 1 / low if low else math.inf)


@dataclass(frozen=True)
class Row:
    """All of one setting on one host."""

    setting: Setting
    good: tuple[Run, ...]
    count: Run | None  # on the bad kernel, to the end
    firing: Firing
    unfit: str  # why it can't be the chosen one, for people; "" if it can

    @property
    def good_fired(self) -> int:
        """Runs in which the good kernel fired: there must be none."""
        return sum(run.ending is Ending.FIRED for run in self.good)

    @property
    def usual(self) -> Counts | None:
        """The median of each count over the runs on the good kernel."""
        told = [run.counts for run in self.good if run.told]
        names = Counts.__dataclass_fields__
        return Counts(**{name: round(median(getattr(one, name) for one in told)) for name in names}) if told else None

    @property
    def usual_seconds(self) -> float | None:
        """The median length of the runs on the good kernel."""
        told = [run.seconds for run in self.good if run.told]
        return median(told) if told else None


@dataclass(frozen=True)
class Found:
    """What a host's runs tell."""

    place: Place
    rows: tuple[Row, ...]
    soonest: Row | None
    alike: tuple[Row, ...]  # can't be told from the soonest one: their intervals overlap

    @property
    def false_alarms(self) -> tuple[Row, ...]:
        """Settings with which the good kernel fired."""
        return tuple(row for row in self.rows if row.good_fired)


def found(calibration: Calibration, place: Place) -> Found:
    """Return what is known of a host.

    Nothing is chosen where the good kernel fired even once, with whatever setting: then either it has the bug, or the
    reproducer sees what isn't there, and no setting's fires mean anything.
    """
    rows = tuple(_row(calibration, Case(place.host, setting)) for setting in calibration.asked.settings)
    fit = sorted((row for row in rows if not row.unfit), key=lambda row: row.firing.mean or 0)
    if not fit or any(row.good_fired for row in rows):
        return Found(place, rows, None, ())
    soonest, *others = fit
    _, latest = soonest.firing.bounds
    return Found(place, rows, soonest, tuple(row for row in others if row.firing.bounds[0] <= latest))


def _row(calibration: Calibration, case: Case) -> Row:
    runs = [run for run in calibration.runs if run.case == case]
    parts = {part: tuple(run for run in runs if run.part is part) for part in Part}
    counted = [run for run in parts[Part.COUNT] if run.told]
    firing = _firing(parts[Part.FIRE])
    return Row(case.setting, parts[Part.GOOD], counted[0] if counted else None, firing, _unfit(runs, parts, firing))


def _firing(runs: Sequence[Run]) -> Firing:
    told = [run for run in runs if run.told]
    fires = sum(run.ending is Ending.FIRED for run in told)
    return Firing(fires, len(told), sum(run.exposed for run in told), sum(run.wall for run in told))


def _unfit(runs: Sequence[Run], parts: dict[Part, tuple[Run, ...]], firing: Firing) -> str:
    told = [run for run in runs if run.told]
    alarms = sum(run.ending is Ending.FIRED for run in parts[Part.GOOD])
    silent = sum(run.ending is Ending.CANT_TELL for run in told)
    if alarms:
        return f"the good kernel fired in {alarms} of {len(parts[Part.GOOD])} runs"
    if silent:
        return f"can't tell in {silent} of {len(told)} runs"
    if not any(run.ending is Ending.CLEAN for run in parts[Part.GOOD]):
        return "no clean run on the good kernel"
    if not firing.runs:
        return "not tried on the bad kernel"
    return "" if firing.fires else "the bad kernel never fired"
