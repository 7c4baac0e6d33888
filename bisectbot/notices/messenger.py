"""Hands out a session's notices while its own process works on it: in a thread of its own, never in the loop's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bisectbot.channels import Message, Notices
from bisectbot.crew import Work
from bisectbot.errors import BisectbotError
from bisectbot.facts import Answered, Fact, Found, Noted, Notified, Opened, Paused, Row, State, replay
from bisectbot.notices import (
    OURS,
    Notice,
    Outcome,
    Picture,
    Post,
    Sent,
    Told,
    Tries,
    due,
    message,
    next_look,
)
from bisectbot.search.wanted import Wanted

_LOOK = 60.0  # seconds at most between two looks: the time of day may be set, a network come back
_NEWS = Opened | Found | Answered | Paused


@dataclass(frozen=True)
class Account:
    """Of which session notices are, and who draws its picture: in the thread that calls, BisectbotError if it can't."""

    name: str
    folder: Path
    draw: Callable[[State, Fact], Picture]

    def picture(self, state: State, fact: Fact) -> Picture:
        """Return the picture, an empty one if it can't be drawn: the journal's own words have to do then."""
        try:
            return self.draw(state, fact)
        except BisectbotError:
            return Picture()

    def compose(self, notice: Notice, rows: Iterable[Row], picture: Picture, recipe: Notices) -> Message:
        """Return what a notice says."""
        known = tuple(rows)
        state = replay(known)
        fact = next(row.fact for row in known if row.number == notice.row)
        assert state is not None, "a notice is of a session that was opened"  # noqa: S101  due() saw its rows
        return message(notice, Told(self.name, self.folder, state, fact, picture), recipe)


class Messenger:
    """Fits crew.Show. Its own thread sends; pictures are drawn in the loop's, which owns what they are drawn from.

    `put`: takes Notified and Noted facts for the journal, from any thread.
    """

    def __init__(
        self, post: Post, recipe: Notices, account: Account, rows: Iterable[Row], put: Callable[[Fact], None]
    ) -> None:
        self._post = post
        self._recipe = recipe
        self._account = account
        self._put = put
        self._rows = [*rows]
        self._lock = threading.Lock()  # over what follows: both threads have it in hands
        self._pictures: dict[int, Picture] = {}  # by row
        self._handed: set[Notified] = set()
        self._noted: set[str] = set()
        self._news = threading.Event()
        self._ending: float | None = None  # seconds for the last round, once it is to end
        self._thread = threading.Thread(target=self._work, name="messenger", daemon=True)
        self._draw_what_waits()

    def start(self) -> None:
        """Begin to send; where no channel is configured there is nothing to do."""
        if self._recipe.channels:
            self._thread.start()

    def began(self, work: Work) -> None:
        """Nobody is told of that."""

    def expects(self, state: State, wanted: Wanted) -> None:
        """Nobody is told of that."""

    def happened(self, state: State, row: Row) -> None:
        """Take note; if it is news, draw its picture and let it be sent."""
        news = bool(self._recipe.channels) and isinstance(row.fact, _NEWS)
        picture = self._account.picture(state, row.fact) if news else None
        with self._lock:
            self._rows.append(row)
            if picture is not None:
                self._pictures[row.number] = picture
        if news:
            self._news.set()

    @property
    def waits(self) -> bool:
        """Whether something is due that wasn't handed over yet."""
        return bool(self._due(self._known()))

    def drain(self, seconds: float) -> None:
        """End: send what is still due, in that many seconds at most. The loop is over by then."""
        self._ending = seconds
        self._news.set()
        if self._thread.ident is None:
            return
        try:
            self._thread.join(seconds)
        finally:
            self._post.stop()

    def unwritten(self) -> tuple[Fact, ...]:
        """Return what was handed over and isn't in the journal: once the loop is over, whoever asks writes it."""
        with self._lock:
            written = {row.fact for row in self._rows if isinstance(row.fact, Notified)}
            return tuple(fact for fact in sorted(self._handed, key=lambda fact: fact.row) if fact not in written)

    def look(self, seconds: float | None = None) -> None:
        """Send what is due and may be tried now; the thread does so again and again."""
        rows = self._known()
        for outcome in self._post.deliver(self._due(rows), lambda notice: self._compose(notice, rows), seconds):
            self._take(outcome)

    # --- the thread

    def _work(self) -> None:
        while self._ending is None:
            self._news.clear()
            self._try(None)
            self._news.wait(self._pause())
        # once more, whatever the pauses: what kept it off may be over
        self._post = replace(self._post, tries=Tries())
        self._try(self._ending)

    def _try(self, seconds: float | None) -> None:
        """Look; a bug of ours in it is told in the journal, and costs notices instead of the session."""
        try:
            self.look(seconds)
        except Exception as error:  # noqa: BLE001  as said
            self._note(f"a bug in bisectbot: {type(error).__name__}: {error}")

    def _pause(self) -> float:
        now = self._post.clock.wall()
        at = next_look(self._known(), now, self._recipe)
        return _LOOK if at is None else max(1.0, min(_LOOK, at - now))

    def _known(self) -> tuple[Row, ...]:
        with self._lock:
            return tuple(self._rows)

    def _due(self, rows: tuple[Row, ...]) -> tuple[Notice, ...]:
        found = due(rows, self._post.clock.wall(), self._recipe)
        return tuple(notice for notice in found if notice.fact not in self._handed)

    def _compose(self, notice: Notice, rows: tuple[Row, ...]) -> Message:
        return self._account.compose(notice, rows, self._pictures.get(notice.row, Picture()), self._recipe)

    def _take(self, outcome: Outcome) -> None:
        match outcome:
            case Sent(notice, lacking):
                with self._lock:
                    self._handed.add(notice.fact)
                self._put(notice.fact)
                if lacking:
                    self._note(f"{notice.channel}: not taken for {lacking}")
            case _ if outcome.worth_noting:
                self._note(f"{outcome.notice.channel}: {outcome.error.message}")

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._put(Noted(OURS, text))

    def _draw_what_waits(self) -> None:
        """Draw the pictures of what an earlier process left to be told, as things stand now."""
        state = replay(self._rows)
        rows = {row.number: row.fact for row in self._rows}
        for notice in due(self._rows, self._post.clock.wall(), self._recipe):
            if state is not None and notice.row not in self._pictures and isinstance(rows[notice.row], _NEWS):
                self._pictures[notice.row] = self._account.picture(state, rows[notice.row])
