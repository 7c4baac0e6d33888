"""The keeper, put together and run: the real children, signals, systemd, and the sleep of this machine."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType

import click

from bisectbot import places
from bisectbot.boot.hostbook import HostBook
from bisectbot.channels import Notices
from bisectbot.cli.keeper.handout import Handout
from bisectbot.config import hosts as config
from bisectbot.config.hosts import Config
from bisectbot.effects.children import SessionChildren, bound, last_words
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.files import replace_text
from bisectbot.effects.lock import Lock, is_held
from bisectbot.effects.proc import Group, Processes
from bisectbot.effects.sdnotify import Notifier
from bisectbot.errors import BisectbotError, Busy, ConfigError, InfraError
from bisectbot.facts import Noted, Notified
from bisectbot.journal import Journal
from bisectbot.keeper.decide import Hosts
from bisectbot.keeper.queued import Shelf, markers, needs_a_hand
from bisectbot.keeper.rounds import Keeper, Outside
from bisectbot.session import Folder, keeper_lock, keeper_log

_ROUND = 0.5  # seconds
_PULSE = 10.0  # seconds at most between two signs of life to systemd
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AWAKE = ("--what=idle:sleep", "--who=bisectbot", "--why=a bisection is at work", "--mode=block", "sleep", "infinity")


def keep(logs: Path, hosts: Path | None, *, until_empty: bool = False) -> None:
    """Work through the queue of a logs folder until a signal comes, or the queue is empty; Busy if another one does."""
    logs.mkdir(parents=True, exist_ok=True)
    with _signals() as asked:
        stopped = _kept(logs, hosts, asked, until_empty=until_empty)
        with suppress(Busy):
            # somebody may have queued a session while we let go of the lock, and count on us
            while not stopped and _left(logs):
                stopped = _kept(logs, hosts, asked, until_empty=until_empty)


def _kept(logs: Path, hosts: Path | None, asked: queue.SimpleQueue[int], *, until_empty: bool) -> bool:
    """Hold the lock and do rounds; return whether we were asked to end."""
    with Lock(keeper_lock(logs), f"the queue of {logs}"):
        notifier, proc = Notifier(), Processes()
        keeper, handout = _keeper(logs, hosts, notifier, proc)
        notifier.ready()
        _say(logs, f"working on the queue of {logs}, pid {os.getpid()}")
        try:
            while True:
                keeper.round()
                if until_empty and not (keeper.work or _left(logs) or handout.busy):
                    _say(logs, "nothing is left to be done in the queue")
                    return False
                if (number := _asked(asked)) is not None:
                    _say(logs, f"{signal.Signals(number).name}: ending all sessions; the queue stays")
                    return True
        finally:
            notifier.stopping()
            keeper.stop(keeper.clock.sleep)
            proc.stop_all()


def _left(logs: Path) -> bool:
    """Whether a session is queued that doesn't need a hand."""
    return any(not placed.hand for _, placed in markers(logs))


def _asked(asked: queue.SimpleQueue[int]) -> int | None:
    try:
        return asked.get(timeout=_ROUND)
    except queue.Empty:
        return None


@contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """Hand over what would end us."""
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()

    def take(number: int, _frame: FrameType | None) -> None:
        asked.put(number)

    before = {number: signal.signal(number, take) for number in _STOPPING}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keeper(logs: Path, hosts: Path | None, notifier: Notifier, proc: Processes) -> tuple[Keeper, Handout]:
    clock = SystemClock()
    say = partial(_say, logs)
    now = HostsNow(hosts, say)
    handout = Handout(lambda: now.notices, clock, say, proc)
    outside = Outside(
        hosts=now,
        held=is_held,
        last_words=last_words,
        needs_a_hand=partial(write_hand, clock),
        say=say,
        pulse=Pulse(notifier, clock),
        stay_awake=Awake(proc, say),
        each_round=handout,
    )
    return Keeper(Shelf(logs), SessionChildren(logs.absolute(), hosts, proc), clock, outside), handout


def write_hand(clock: SystemClock, folder: Folder, why: str) -> None:
    """Leave a session in the queue with the reason why it isn't started, and write that into its journal.

    Busy, and nothing is written, while its notices are handed out: what isn't in the journal would never be told.
    """
    with Lock(folder.lock, f"session {folder.name}"):
        # a journal that can't be written may be the very reason
        with suppress(BisectbotError):
            book = Journal(folder.journal)
            try:
                _note(book, clock, Noted("hand", why))
            finally:
                book.close()
        needs_a_hand(folder, why, replace_text)


def _note(book: Journal, clock: SystemClock, note: Noted) -> None:
    """Write it down, unless that was the last thing written: a marker that can't be is tried again each round."""
    if [row.fact for row in book.rows() if not isinstance(row.fact, Notified)][-1:] != [note]:
        book.append(clock.wall(), note, clock.now())


def host_book() -> HostBook:
    """Return what is remembered of the real machines."""
    return HostBook(places.cache() / "hosts")


def hosts_now(loaded: Config, book: HostBook) -> Hosts:
    """Return the real machines, and which of them are set aside."""
    known = {host.name: book.recall(host) for host in loaded.lab_hosts}
    return Hosts(loaded.lab_hosts, frozenset(name for name, one in known.items() if one and one.quarantined))


class HostsNow:
    """hosts.toml as it is, read again when it changes; while it has mistakes, as it was before."""

    def __init__(self, chosen: Path | None, say: Callable[[str], None]) -> None:
        """ConfigError if it has mistakes from the start."""
        self._say = say
        self._config = config.load(chosen)
        self._chosen = self._config.file  # this very one: while an editor replaces it, another might be found
        self._stamp = self._look()
        self._book = host_book()

    def __call__(self) -> Hosts:
        """Return the hosts."""
        now = self._look()
        if now != self._stamp:
            self._stamp = now
            try:
                self._config = config.load(self._chosen)
            except ConfigError as error:
                self._say(f"hosts.toml stays as it was: {error}")
        return hosts_now(self._config, self._book)

    @property
    def notices(self) -> Notices:
        """Who is told what."""
        return self._config.notices

    def _look(self) -> tuple[float, int]:
        try:
            seen = self._config.file.stat()
        except OSError:
            return 0.0, 0
        return seen.st_mtime, seen.st_size


@dataclass
class Pulse:
    """Signs of life to systemd."""

    notifier: Notifier
    clock: SystemClock
    _last: float = float("-inf")
    _told: str = ""

    def __call__(self, status: str) -> None:
        """Give one now and then, and tell what we do when that changed."""
        if status != self._told:
            self._told = status
            self.notifier.status(status)
        if self.clock.now() - self._last >= min(_PULSE, self.notifier.patience / 3):
            self._last = self.clock.now()
            self.notifier.pulse()


@dataclass
class Awake:
    """Keeps this machine from going to sleep while it is at work, if logind can be asked to."""

    proc: Processes
    say: Callable[[str], None]
    _held: Group | None = field(default=None, init=False)
    _useless: bool = field(default=False, init=False)

    def __call__(self, needed: bool) -> None:  # noqa: FBT001  a question with two answers
        """Let it sleep, or don't."""
        if self._held is not None and (code := self._held.poll()) is not None:
            self._held, self._useless = None, True
            self.say(f"this machine may fall asleep at work: systemd-inhibit ended with {code}")
        if needed and self._held is None and not self._useless:
            self._hold()
        elif not needed and self._held is not None:
            self._held.stop()
            self._held = None

    def _hold(self) -> None:
        try:
            self._held = self.proc.start(["systemd-inhibit", *_AWAKE], log=Path(os.devnull), env=_bus())
        except InfraError as error:
            self._useless = True
            self.say(f"this machine may fall asleep at work: {error.message}")


def _bus() -> dict[str, str]:
    """Return what leads to the user's D-Bus."""
    return {name: os.environ[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR") if name in os.environ}


def _say(logs: Path, text: str) -> None:
    """Tell a line of progress; systemd's journal has the time itself."""
    stamp = "" if "JOURNAL_STREAM" in os.environ else f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} "
    click.echo(f"{stamp}{text}", err=True)
    bound(keeper_log(logs))
