"""What `bisectbot watch` looks at: journals, each read on only after it has changed, consoles, locks and the queue."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bisectbot import journal, places
from bisectbot.boot.hostbook import HostBook
from bisectbot.cli.look import told
from bisectbot.cli.watch.minds import Minds, Thought
from bisectbot.config import hosts as config
from bisectbot.effects.peek import holders, is_held, last_bytes, stamp
from bisectbot.errors import BisectbotError, ConfigError
from bisectbot.fit import Forecast
from bisectbot.forecast import fit_of
from bisectbot.keeper import queued
from bisectbot.lab import LabHost
from bisectbot.odds import Odds
from bisectbot.ports import Clock
from bisectbot.report.chances import OLDER
from bisectbot.session import Folder
from bisectbot.visible import visible
from bisectbot.watching.follow import Followed, follow
from bisectbot.watching.views import (
    Close,
    Known,
    View,
    ahead,
    best_of,
    console_boot,
    console_lines,
    doing,
    facts_of,
    hosts_of,
    likely_of,
    line_of,
    number,
)

_CONSOLE_BYTES = 6 << 10
_ODDS_BYTES = 1 << 20
_HOSTS_EVERY = 10.0  # seconds
_BUILD_SILENCE = 900.0  # seconds: linking says nothing for long

Stamp = tuple[int, int, int]


@dataclass
class _Book:
    """One session, as far as it was read."""

    folder: Folder
    stamps: tuple[Stamp, ...] = ()
    seen: Followed | None = None
    trouble: str = ""
    odds_stamp: Stamp = (0, 0, 0)
    odds: Mapping[str, object] = field(default_factory=dict)

    def changed(self) -> bool:
        """Whether the journal was written to since it was read."""
        return self._stamps() != self.stamps

    @property
    def latest(self) -> int:
        """When it was written to, to put sessions into an order."""
        return max((one[2] for one in self._stamps()), default=0)

    def _stamps(self) -> tuple[Stamp, ...]:
        path = self.folder.journal
        wal = stamp(path.with_name(f"{path.name}-wal"))
        # an empty one is what a reader leaves
        return (stamp(path), wal) if wal[1] else (stamp(path),)

    def read(self) -> None:
        """Read on; what can't be read is told in `trouble`."""
        stamps = self._stamps()
        if stamps[:1] and self.stamps[:1] and stamps[0][0] != self.stamps[0][0]:
            self.seen = None  # another session took its name
        last = self.seen.recent[-1].row.number if self.seen and self.seen.recent else 0
        try:
            self.seen, self.trouble = follow(self.seen, journal.read(self.folder.journal, last)), ""
        except BisectbotError as error:
            self.trouble = error.message
        except OSError as error:
            self.trouble = str(error.strerror)
        self.stamps = stamps

    def read_odds(self) -> None:
        """Read what the session itself wrote down of its odds, if that has changed."""
        path = self.folder.path / "odds.json"
        if (found := stamp(path)) == self.odds_stamp:
            return
        self.odds_stamp = found
        with suppress(ValueError, RecursionError):
            read = json.loads(last_bytes(path, _ODDS_BYTES) or b"{}")
            self.odds = read if isinstance(read, dict) else {}


@dataclass
class Watched:
    """A logs folder, or some sessions of it. Nothing in it is written, locked or waited for."""

    logs: Path
    names: tuple[str, ...]
    clock: Clock
    minds: Minds
    _books: dict[str, _Book] = field(default_factory=dict)
    _hosts: tuple[tuple[str, str], ...] = ()
    _hosts_at: float = -math.inf

    def view(self, chosen: str | None, patience: float = math.inf) -> View:
        """Return what is to be seen; sessions that couldn't be read within `patience` seconds follow the next time."""
        found = self._listed()
        self._read(found, patience)
        held = holders()
        running = {book.folder.name for book in found if is_held(book.folder.lock, held)}
        waiting = self._queue()
        order = sorted(found, key=lambda one: (one.folder.name not in running, -one.latest, one.folder.name))
        known = {book.folder.name: self._known(book, running, waiting) for book in order}
        book = _chosen(order, chosen)
        close = None
        if book is not None and book.seen is not None:
            thought = self.minds.think(book.folder.name, book.seen)
            known[book.folder.name] = _with_odds(known[book.folder.name], book.seen, thought.odds)
            close = self._close(book, book.seen, known[book.folder.name], thought)
        lines = tuple(line_of(known[one.folder.name], one.seen) for one in order)
        at_work = [(one.seen, one.folder.name) for one in order if one.seen and one.folder.name in running]
        users = [(seen.state.plan.host.name, name) for seen, name in at_work]
        return View(self.clock.wall(), visible(str(self.logs), 200), lines, hosts_of(self._machines(), users), close)

    def _listed(self) -> list[_Book]:
        """Return the sessions that are there now, the newest first."""
        names = {path.parent.name for path in self.logs.glob("*/journal.db")}
        names &= set(self.names) or names
        self._books = {name: self._books.get(name) or _Book(Folder(self.logs / name)) for name in sorted(names)}
        return sorted(self._books.values(), key=lambda book: -book.latest)

    def _read(self, found: Sequence[_Book], patience: float) -> None:
        until = self.clock.now() + patience
        for book in found:
            book.read_odds()
            if book.changed():
                book.read()
                if self.clock.now() > until:
                    return

    def _queue(self) -> dict[str, int]:
        waiting = sorted(queued.markers(self.logs), key=lambda one: (one[1].order, one[0]))
        return {name: place for place, (name, _) in enumerate(waiting, start=1)}

    def _known(self, book: _Book, running: set[str], waiting: Mapping[str, int]) -> Known:
        name = book.folder.name
        trouble = book.trouble or ("" if book.stamps else "not read yet")
        known = Known(name, name in running, waiting.get(name), trouble=trouble)
        if book.seen is None:
            return known
        steps, seconds = (number(book.odds.get(key)) for key in ("steps_left", "seconds_left"))
        fit = fit_of(book.seen.state, _forecast(book.odds.get("ahead")))
        return replace(known, best=best_of(book.odds), steps=steps, seconds=seconds, fit=fit)

    def _close(self, book: _Book, seen: Followed, known: Known, thought: Thought) -> Close:
        build = _building(book.folder, self.clock.wall()) if known.running else ""
        boot = console_boot(seen)
        console = book.folder.console_log(*boot) if boot else None
        words = {one.row.number: told(one.row.fact) for one in seen.recent}
        return Close(
            name=visible(known.name, 100),
            doing=doing(known, seen, build, thought.titles, self.clock.wall()),
            suspects=likely_of(thought.odds, thought.titles),
            ahead=ahead(known, seen.state),
            facts=facts_of(seen, words),
            console_name=visible(console.name, 100) if console else "",
            console=console_lines(last_bytes(console, _CONSOLE_BYTES)) if console else (),
            note=visible(thought.trouble, 200),
        )

    def _machines(self) -> tuple[tuple[str, str], ...]:
        """Return the names of hosts.toml with why each is set aside; looked at only now and then."""
        if self.clock.now() - self._hosts_at >= _HOSTS_EVERY:
            self._hosts_at = self.clock.now()
            self._hosts = tuple(_machines())
        return self._hosts


def _machines() -> Iterator[tuple[str, str]]:
    book = HostBook(places.cache() / "hosts")
    with suppress(ConfigError):
        for host in config.load(None).hosts:
            known = book.recall(host) if isinstance(host, LabHost) else None
            yield host.name, known.quarantined if known else ""


def _chosen(order: Sequence[_Book], chosen: str | None) -> _Book | None:
    """Return the session that is asked for, else the first that could be read."""
    asked = next((book for book in order if book.folder.name == chosen), None)
    return asked or next((book for book in order if book.seen is not None), None)


def _with_odds(known: Known, seen: Followed, odds: Odds | None) -> Known:
    """Return what is known with the odds of this very moment instead of those that the session wrote down last."""
    if odds is None:
        return known
    first = odds.suspects[0] if odds.rate.fires and odds.suspects else None
    best = (first.commit, first.probability) if first else None
    best = (OLDER, odds.older) if first and odds.older > first.probability else best
    return replace(
        known, best=best, steps=odds.steps_left, seconds=odds.seconds_left, fit=fit_of(seen.state, odds.ahead)
    )


def _building(folder: Folder, now: float) -> str:
    """Return the first digits of the commit whose build log is the newest, if it grew lately."""
    logs = [(stamp(path)[2] / 1e9, path.stem) for path in (folder.path / "builds").glob("*.log")]
    at, stem = max(logs, default=(0.0, ""))
    return stem if now - at < _BUILD_SILENCE else ""


def _forecast(value: object) -> Forecast | None:
    """Return a forecast from JSON, or None if that isn't one."""
    if not isinstance(value, dict):
        return None
    seconds, spread, boots = (number(value.get(key)) for key in ("seconds", "spread", "boots"))
    if seconds is None or spread is None or boots is None:
        return None
    return Forecast(seconds, spread, boots, value.get("guess") is True)
