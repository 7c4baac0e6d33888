"""Which notices are still to be handed over: told by the journal's rows alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bisectbot.channels import NAMES, Kind, Notices
from bisectbot.facts import (
    Answered,
    Fact,
    Faulted,
    Found,
    Noted,
    Notified,
    Opened,
    Paused,
    Resumed,
    Row,
    works_again,
)
from bisectbot.model import Culprit

OURS = "notices"  # facts.Noted.what of what is noted about notices themselves
_FRESH = 24 * 3600.0  # seconds after which nobody wants to be told any more
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Event:
    """Something worth telling."""

    row: int  # its number in the journal
    kind: Kind
    at: float  # seconds since the epoch


@dataclass(frozen=True)
class Notice:
    """An event that a channel has still to be told of."""

    row: int
    kind: Kind
    channel: str  # "mail", "webhook" or "command"
    at: float  # of the event

    @property
    def fact(self) -> Notified:
        """What the journal says once it was handed over."""
        return Notified(self.row, self.kind, self.channel)


def due(rows: Sequence[Row], now: float, recipe: Notices) -> tuple[Notice, ...]:
    """Return what is to be handed over, oldest first; `now` in seconds since the epoch."""
    told = {row.fact for row in rows if isinstance(row.fact, Notified)}
    wanted = [event for event in events(rows, now, recipe) if event.kind in recipe.on and now - event.at <= _FRESH]
    names = [NAMES[type(channel)] for channel in recipe.channels]
    found = (Notice(event.row, event.kind, name, event.at) for event in wanted for name in names)
    return tuple(notice for notice in found if notice.fact not in told)


def events(rows: Sequence[Row], now: float, recipe: Notices) -> tuple[Event, ...]:
    """Return everything worth telling that the rows hold, and the silence after them."""
    standing = _Standing()
    found = [Event(row.number, kind, row.at) for row in rows for kind in standing.hears(row.fact)]
    begins = _silent_from(rows, recipe)
    if begins is not None and begins.at <= now:
        found.append(begins)
    return tuple(found)


def next_look(rows: Sequence[Row], now: float, recipe: Notices) -> float | None:
    """Return when (seconds since the epoch) a notice will be due that isn't yet; None if only a fact can bring one."""
    begins = _silent_from(rows, recipe)
    return begins.at if begins is not None and begins.at > now and Kind.SILENT in recipe.on else None


def ever_due(newest: float, now: float, recipe: Notices) -> bool:
    """Whether a journal whose newest row was written at `newest` can hold anything that is still worth telling."""
    return now - newest <= _FRESH + recipe.silent_seconds


@dataclass
class _Standing:
    """What was told so far, as far as it decides what is news."""

    culprit: str | None = None
    stage: str = ""  # that failed last
    faults: set[str] = field(default_factory=set)  # since that last went well

    def hears(self, fact: Fact) -> Iterator[Kind]:
        """Yield what a fact is worth telling as."""
        if works_again(fact, self.stage):
            self.faults.clear()
        match fact:
            case Opened():
                yield Kind.START
            case Faulted(_, stage):
                self.stage = stage
            case Found(answer) | Answered(answer):
                if isinstance(answer, Culprit) and answer.commit != self.culprit:
                    self.culprit = answer.commit
                    yield Kind.FOUND
                elif isinstance(fact, Answered):
                    yield Kind.ENDED
            case Paused("budget"):
                yield Kind.BUDGET
            case Paused("fault", text, kind):
                yield from self._fault(text, kind)
            case Noted("hand", text):  # the keeper doesn't start it any more
                yield from self._fault(text, "")

    def _fault(self, text: str, kind: str) -> Iterator[Kind]:
        """A fault that comes back before anything went well is no news; other figures in its text don't make it one.

        Nor is a machine that is still set aside, or a lab that is still in doubt, told in other words than that it was.
        """
        alike = kind if kind in ("Quarantined", "Doubted") else _NUMBER.sub("#", text)
        if alike not in self.faults:
            self.faults.add(alike)
            yield Kind.QUARANTINED if kind == "Quarantined" else Kind.HAND


def _silent_from(rows: Iterable[Row], recipe: Notices) -> Event | None:
    """Return the silence that follows the last row, None if it is as it should be: answered, paused or given up."""
    last: Row | None = None
    resting = False
    for row in rows:
        if isinstance(row.fact, Notified) or (isinstance(row.fact, Noted) and row.fact.what == OURS):
            continue
        last = row
        given_up = isinstance(row.fact, Noted) and row.fact.what == "hand"
        rests = isinstance(row.fact, Paused | Answered) or given_up
        resting = rests or (resting and not isinstance(row.fact, Resumed))
    if last is None or resting:
        return None
    return Event(last.number, Kind.SILENT, last.at + recipe.silent_seconds)
