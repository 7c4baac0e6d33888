"""Which queued session is to be started, taken off the queue or left waiting: decided from what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bisectbot.facts import Answered, Built, CameHome, Faulted, Found, Paused, Reverted, Row, Tried, replay, works_again
from bisectbot.lab import Host, LabHost, Payload

# Seconds after the first, second, ... fault in a row; the last one from then on.
_FAULT_PAUSES = (30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
_KILLED_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_STUCK_PAUSES = (5.0, 30.0, 120.0)  # so many times is it tried again
_STEPS = Built | Tried | Reverted | CameHome | Found | Answered


@dataclass(frozen=True)
class Known:
    """What a session's journal says, as far as the queue is concerned."""

    host: Host  # that it works on
    tag: str = ""  # asked for instead of a host
    paused: Paused | None = None
    paused_at: float = 0.0  # seconds since the epoch
    faults: int = 0  # pauses for a fault without a finished build, or a boot that told something, between them
    answered: bool = False
    steps: int = 0  # that were finished
    rows: int = 0

    @property
    def told(self) -> bool:
        """Whether the journal ends with why nobody works on it, other than that somebody wanted it so."""
        return self.answered or (self.paused is not None and self.paused.why != "interrupted")

    @property
    def over(self) -> str:
        """Why nothing is left to be done, empty if something is."""
        if self.answered:
            return "answered"
        return "out of budget" if self.paused is not None and self.paused.why == "budget" else ""


def known(rows: Sequence[Row]) -> Known | None:
    """Return what a journal says; None for one without a first row."""
    state = replay(rows)
    if state is None:
        return None
    return Known(
        host=state.plan.host,
        tag=state.plan.tag,
        paused=state.paused,
        paused_at=max((row.at for row in rows if isinstance(row.fact, Paused)), default=0.0),
        faults=_faults(rows),
        answered=state.answered is not None,
        steps=sum(isinstance(row.fact, _STEPS) for row in rows),
        rows=len(rows),
    )


def _faults(rows: Iterable[Row]) -> int:
    count, stage = 0, ""
    for row in rows:
        if isinstance(row.fact, Faulted):
            stage = row.fact.stage
        elif isinstance(row.fact, Paused):
            count += row.fact.why == "fault"
        elif works_again(row.fact, stage):
            count = 0
    return count


class Ending(StrEnum):
    """How a session's process ended, where the journal doesn't say it."""

    KILLED = "killed"
    FAULT = "fault"
    BUSY = "busy"
    STUCK = "stuck"


@dataclass(frozen=True)
class Lapse:
    """A session's process ended before its work did: how, when, and how many times in a row without a step between."""

    ending: Ending
    at: float  # seconds since the epoch
    times: int
    steps: int  # that were finished by then
    host: str  # that it worked on
    moved: bool = False  # whether steps were finished since the process was started

    @property
    def hopeless(self) -> bool:
        """Whether a person has to look at it."""
        return self.ending is Ending.STUCK and self.times > len(_STUCK_PAUSES)

    @property
    def pause(self) -> float:
        """Seconds until it is tried again."""
        match self.ending:
            case Ending.KILLED:
                return 0.0 if self.moved else _nth(_KILLED_PAUSES, self.times)
            case Ending.FAULT | Ending.BUSY:
                return _nth(_FAULT_PAUSES, self.times)
            case Ending.STUCK:
                return _nth(_STUCK_PAUSES, self.times)


def lapse(before: Lapse | None, ending: Ending, known: Known, began: int, at: float) -> Lapse:
    """Return the lapse of a process that began with so many finished steps; `before`: the one before it."""
    moved = known.steps > began
    again = before is not None and before.ending is ending and not (moved or before.moved)
    times = before.times + 1 if before is not None and again else 1
    return Lapse(ending, at, times, known.steps, known.host.name, moved)


@dataclass(frozen=True)
class Entry:
    """A session in the queue."""

    name: str
    order: float
    known: Known | None  # None: its journal is empty, or can't be read
    running: bool = False  # whether some process works on it
    on: str = ""  # the host that this process was told to use instead of the one before
    hand: str = ""  # why it needs a hand, empty if it doesn't
    lapse: Lapse | None = None


@dataclass(frozen=True)
class Hosts:
    """The real machines of hosts.toml, and the names of those that are set aside."""

    lab: tuple[LabHost, ...] = ()
    aside: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Start:
    """A session is to be started now; `on`: on another host than before."""

    name: str
    on: str | None = None


@dataclass(frozen=True)
class Wait:
    """Why a session isn't started now; `until`: when it will be looked at again, in seconds since the epoch."""

    why: str
    until: float | None = None


@dataclass(frozen=True)
class Decision:
    """What is to be done about the queue."""

    start: tuple[Start, ...] = ()
    over: dict[str, str] = field(default_factory=dict)  # to be taken off, by name, and why
    hand: dict[str, str] = field(default_factory=dict)  # that need a hand, by name, and why
    waits: dict[str, Wait] = field(default_factory=dict)  # by name

    @property
    def wakes(self) -> float | None:
        """When to look again even if nothing happens until then, in seconds since the epoch."""
        return min((wait.until for wait in self.waits.values() if wait.until is not None), default=None)


def in_order(queue: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries, the one that comes first in front."""
    return tuple(sorted(queue, key=lambda entry: (entry.order, entry.name)))


def decide(queue: Iterable[Entry], hosts: Hosts, now: float) -> Decision:
    """Return what is to be done at `now` (seconds since the epoch): one session at a time a host, in order."""
    entries = in_order(queue)
    taken = {entry.on or entry.known.host.name: entry.name for entry in entries if entry.running and entry.known}
    start: list[Start] = []
    over: dict[str, str] = {}
    hand: dict[str, str] = {}
    waits: dict[str, Wait] = {}
    for entry in entries:
        if entry.running:
            continue
        if entry.known is not None and entry.known.over:
            over[entry.name] = entry.known.over
        elif why := _needs_a_hand(entry):
            hand[entry.name] = why
        elif isinstance(found := _place(entry, taken, hosts, now), Wait):
            waits[entry.name] = found
            if _back_at_once(entry) and entry.known is not None:
                taken.setdefault(entry.known.host.name, entry.name)
        else:
            own = entry.known.host.name if entry.known else found
            taken[found] = entry.name
            start.append(Start(entry.name, None if found == own else found))
    return Decision(tuple(start), over, hand, waits)


def _back_at_once(entry: Entry) -> bool:
    """Whether it rests for so short a time that its host is kept for it."""
    return entry.lapse is not None and entry.lapse.ending is Ending.KILLED


def _needs_a_hand(entry: Entry) -> str:
    if entry.hand:
        return entry.hand
    if entry.known is None:
        return "its journal is empty or can't be read"
    return "its process fails again and again" if entry.lapse is not None and entry.lapse.hopeless else ""


def _place(entry: Entry, taken: dict[str, str], hosts: Hosts, now: float) -> str | Wait:
    """Return the name of the host that it can be started on now, or what it waits for."""
    assert entry.known is not None, "told apart by _needs_a_hand"  # noqa: S101
    own = entry.known.host.name
    aside = bool(entry.known.tag) and own in hosts.aside
    other = _other(entry, entry.known, taken, hosts)
    left, why = _rest(entry, now)
    if left > 0 and not (aside and other):
        return Wait(why, now + left)
    if other is not None and (aside or own in taken or _was_busy(entry, own)):
        return other
    return own if own not in taken else Wait(f"{own} works on {taken[own]}")


def _was_busy(entry: Entry, host: str) -> bool:
    return entry.lapse is not None and entry.lapse.ending is Ending.BUSY and entry.lapse.host == host


def _other(entry: Entry, known: Known, taken: dict[str, str], hosts: Hosts) -> str | None:
    """Return another machine that does as well for a session that was asked for by tag, None if there is none free."""
    for host in hosts.lab if known.tag else ():
        free = host.name != known.host.name and host.name not in taken and host.name not in hosts.aside
        if free and known.tag in host.tags and fits(host, known.host) and not _was_busy(entry, host.name):
            return host.name
    return None


def fits(host: Host, before: Host) -> bool:
    """Whether a session can go on on a host instead of the one before: the same kernels start there."""
    return host.arch == before.arch and _own_root(host) == _own_root(before)


def _own_root(host: Host) -> bool:
    return isinstance(host, LabHost) and host.payload is Payload.HOST


def _rest(entry: Entry, now: float) -> tuple[float, str]:
    """Return the seconds until a session may be started again, and what it rests for."""
    rests = []
    if entry.known is not None and entry.known.paused is not None and entry.known.paused.why == "fault":
        pause = _nth(_FAULT_PAUSES, entry.known.faults)
        rests.append((_left(entry.known.paused_at, pause, now), f"paused for a fault: {entry.known.paused.text}"))
    if entry.lapse is not None:
        rests.append((_left(entry.lapse.at, entry.lapse.pause, now), f"its process ended ({entry.lapse.ending})"))
    return max(rests, default=(0.0, ""))


def _left(at: float, pause: float, now: float) -> float:
    """Return what is left of a pause; a clock that was set back since then ends it, or it might last for hours."""
    return max(0.0, at + pause - now) if now >= at else 0.0


def _nth(pauses: Sequence[float], times: int) -> float:
    return pauses[min(max(times, 1), len(pauses)) - 1]
