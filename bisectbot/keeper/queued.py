"""The sessions that wait: the file `queued` in a session's folder, and what its journal says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bisectbot import journal
from bisectbot.errors import BisectbotError
from bisectbot.facts import Row
from bisectbot.keeper.decide import Entry, Known, known
from bisectbot.session import Folder

_LAST = float("inf")  # the place of a session whose marker can't be read
_HIGHEST = 10.0**12 - 1
_NUMBER = re.compile(r"-?\d{1,12}")
_BIGGEST = 4096  # bytes of a marker

Write = Callable[[Path, str], None]
Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Marker:
    """A session's place in the queue, and why it needs a hand, if it does."""

    order: float
    hand: str = ""


def marker(folder: Folder) -> Marker | None:
    """Return a session's place, None if it isn't queued. What can't be read stands last."""
    try:
        with folder.queued.open(encoding="utf-8", errors="replace") as file:
            first, _, rest = file.read(_BIGGEST).partition("\n")
    except FileNotFoundError:
        return None
    except OSError:
        return Marker(_LAST)
    return Marker(float(first) if _NUMBER.fullmatch(first.strip()) else _LAST, rest.strip())


def put(logs: Path, folder: Folder, write: Write, *, first: bool = False) -> int:
    """Put a session at the end of the queue, or in front; return its place, counted from 1."""
    others = [one.order for name, one in markers(logs) if name != folder.name and one.order != _LAST]
    order = min(others, default=1) - 1 if first else max(others, default=0) + 1
    write(folder.queued, f"{order:.0f}\n")
    return 1 if first else len(others) + 1


def needs_a_hand(folder: Folder, why: str, write: Write) -> None:
    """Keep a session's place, with the reason why it isn't started any more."""
    placed = marker(folder)
    if placed is not None:
        write(folder.queued, f"{min(placed.order, _HIGHEST):.0f}\n{why}\n")


def take_off(folder: Folder) -> None:
    """Take a session off the queue, if it is there."""
    folder.queued.unlink(missing_ok=True)


def markers(logs: Path) -> Iterator[tuple[str, Marker]]:
    """Yield the name and the place of each queued session."""
    for path in sorted(logs.glob("*/queued")):
        placed = marker(Folder(path.parent))
        if placed is not None:
            yield path.parent.name, placed


@dataclass
class Shelf:
    """The journals of a logs folder, each read again only after it has changed."""

    logs: Path
    _read: dict[str, tuple[Stamp, Known | None]] = field(default_factory=dict)

    def folders(self) -> tuple[Folder, ...]:
        """Return every session, queued or not."""
        return tuple(Folder(path.parent) for path in sorted(self.logs.glob("*/journal.db")))

    def folder(self, name: str) -> Folder:
        """Return a session's folder."""
        return Folder(self.logs / name)

    def rows(self, name: str) -> tuple[Row, ...]:
        """Return a session's facts, read now; BisectbotError if they can't be."""
        return journal.read(self.folder(name).journal)

    def known(self, name: str) -> Known | None:
        """Return what a session's journal says; None if it is empty or can't be read."""
        now = _stamp(self.folder(name).journal)
        before = self._read.get(name)
        if before is None or before[0] != now:
            before = (now, self._look(name))
            self._read[name] = before
        return before[1]

    def _look(self, name: str) -> Known | None:
        with suppress(BisectbotError, OSError):
            return known(self.rows(name))
        return None

    def queue(self, running: Callable[[Folder], bool], ours: Collection[str] = ()) -> tuple[Entry, ...]:
        """Return the queue, in no order; `running` tells whether a process works on a session.

        `ours`: sessions whose processes tell us when they end; their journals, which grow all the time, can wait.
        """
        found = []
        for name, placed in markers(self.logs):
            before = self._read.get(name)
            says = before[1] if before is not None and name in ours else self.known(name)
            works = running(self.folder(name))
            found.append(Entry(name, placed.order, says, running=works, hand=placed.hand))
        return tuple(found)


def _stamp(path: Path) -> Stamp:
    """Return what changes when a journal does: size and time of the file, and of what SQLite keeps beside it."""
    found = []
    for file in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            seen = file.stat()
            if seen.st_size:
                found.append((seen.st_size, seen.st_mtime_ns))
    return tuple(found)
