"""A session as somebody follows it: its state and what is in flight, by rows that can be added at any time; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bisectbot.facts import (
    Answered,
    BootBegan,
    CameHome,
    Notified,
    Opened,
    Paused,
    Resumed,
    Row,
    State,
    Tried,
    apply,
    opened,
)
from bisectbot.lab import LabHost
from bisectbot.model import Ending, Trial

_RECENT = 12  # facts that are kept


@dataclass(frozen=True)
class Recent:
    """A fact; silent runs of one boot are one, told by the last of them."""

    row: Row
    runs: int = 1


@dataclass(frozen=True)
class Followed:
    """A session as far as its rows were read; more of them can be added."""

    state: State
    rows: int
    recent: tuple[Recent, ...] = ()  # newest last
    boot: Row | None = None  # the boot that is on: its BootBegan
    runs: int = 0  # of it that ended
    home: Row | None = None  # what a real machine is on its way home from
    chosen: float = 0.0  # when something was last learned that may have made the bot choose a build


def follow(seen: Followed | None, rows: Iterable[Row]) -> Followed | None:
    """Return a session with these rows added; None before its first one."""
    for row in rows:
        if isinstance(row.fact, Opened):
            seen = Followed(opened(row, row.fact), 1, (Recent(row),), chosen=row.at)
        elif seen is not None:
            seen = _followed(seen, row)
    return seen


def _followed(seen: Followed, row: Row) -> Followed:
    state = apply(seen.state, row)
    seen = replace(seen, state=state, rows=seen.rows + 1, recent=_kept(seen.recent, row))
    match row.fact:
        case BootBegan():
            return replace(seen, boot=row, runs=0, home=None)
        case Tried(trial) if _goes_on(state, trial, seen.runs + 1):
            return replace(seen, runs=seen.runs + 1)
        case Tried():
            home = row if isinstance(state.plan.host, LabHost) else None
            return replace(seen, boot=None, home=home, chosen=row.at)
        case CameHome() | Resumed() | Paused() | Answered():
            return replace(seen, boot=None, home=None, chosen=row.at)
        case Notified():
            return seen
        case _:
            return replace(seen, chosen=row.at)


def _goes_on(state: State, trial: Trial, runs: int) -> bool:
    """Whether more runs follow in the same boot; with odds nobody knows beforehand, so it is told by the next row."""
    return trial.ending is Ending.CLEAN and (state.plan.search is not None or runs < state.plan.probe.runs)


def _kept(recent: tuple[Recent, ...], row: Row) -> tuple[Recent, ...]:
    last = recent[-1] if recent else None
    if last and (boot := silent_boot(row)) is not None and boot == silent_boot(last.row):
        return (*recent[:-1], Recent(row, last.runs + 1))
    return (*recent, Recent(row))[-_RECENT:]


def silent_boot(row: Row) -> int | None:
    """Return the boot of a run without a finding, None for any other fact."""
    fact = row.fact
    return fact.trial.boot if isinstance(fact, Tried) and fact.trial.ending is Ending.CLEAN else None
