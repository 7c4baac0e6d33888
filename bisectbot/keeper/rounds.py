"""The keeper at work: one round after the other, it listens to the sessions' processes and looks at the queue."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bisectbot.errors import BisectbotError
from bisectbot.keeper.decide import Decision, Ending, Entry, Hosts, Known, Lapse, Start, decide, lapse
from bisectbot.keeper.queued import Shelf, take_off
from bisectbot.ports import Clock
from bisectbot.session import Folder
from bisectbot.visible import visible

SILENCE = 90.0  # seconds without a sign of life from a loop; it gives one every few seconds
_PATIENCE = 900.0  # seconds until the first one (worktree, history), and for what comes after the last (report)
_GAP = 20.0  # seconds between two rounds, which take none
_GRACE = 9.0  # seconds for a child that was asked to end: it takes 8 at most for good order
_OFF = 30.0  # seconds that a session taken off the queue has left before it is asked to end from here, too
_BUG, _MISTAKE, _FAULT = 1, 2, 5  # exit codes, see cli/output.py
_SHOWN = 300


class Child(Protocol):
    """A process that works on a session."""

    pid: int

    def heard(self) -> frozenset[str]:
        """Return the words of sd_notify that came since the last time."""
        ...

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        ...

    def terminate(self) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Starter(Protocol):
    """Starts sessions."""

    def start(self, name: str, log: Path, on: str | None) -> Child:
        """Start a session's process, on another host if one is given; BisectbotError if that can't be done."""
        ...


@dataclass(frozen=True)
class Session:
    """What the hook of each round is given: a session of the logs folder, queued or not."""

    folder: Folder
    working: bool  # whether some process works on it, and so alone may write to its journal
    queued: bool


@dataclass(frozen=True)
class Outside:
    """What the keeper needs beyond a clock and the sessions."""

    hosts: Callable[[], Hosts]  # as they are now
    held: Callable[[Path], bool]  # whether some process holds a lock
    last_words: Callable[[Path], str]  # of a log
    needs_a_hand: Callable[[Folder, str], None]  # take note that a session isn't started any more, and why
    say: Callable[[str], None]
    pulse: Callable[[str], None]  # a sign of life of our own, with what we do in a line
    stay_awake: Callable[[bool], None] = lambda _: None  # whether this machine has to
    each_round: Callable[[Session], None] = lambda _: None


@dataclass
class _Work:
    """A child at work."""

    child: Child
    before: Known | None  # what its session's journal said when it was started
    heard: float  # on the clock
    on: str = ""  # the host that it was told to use instead of the one before
    patience: float = _PATIENCE
    busy: bool = False  # whether it said that something is in use by others
    off: float | None = None  # when its session was seen to be off the queue


@dataclass
class Keeper:
    """Works through the queue of a logs folder; whoever runs it holds the folder's lock."""

    shelf: Shelf
    starter: Starter
    clock: Clock
    outside: Outside
    work: dict[str, _Work] = field(default_factory=dict)  # by session
    lapses: dict[str, Lapse] = field(default_factory=dict)  # by session
    looked: float | None = None  # on the clock: when the latest round began
    kept: set[str] = field(default_factory=set)  # sessions that can't be taken off; that is said once
    given_up: set[str] = field(default_factory=set)  # sessions of which it was written that they need a hand

    def round(self) -> Decision:
        """Do what there is to do now, and return what was decided."""
        self._forgive()
        for name, work in list(self.work.items()):
            self._listen(name, work)
        queue = self._queue()
        decision = decide(queue, self.outside.hosts(), self.clock.wall())
        for name, why in decision.over.items():
            self._take_off(name, why)
        for name in decision.hand.keys() - {entry.name for entry in queue if entry.hand}:
            self._give_up(name, decision.hand[name])
        for start in decision.start:
            self._start(start)
        self._drop({entry.name for entry in queue})
        self.outside.stay_awake(bool(self.work))
        self._hook({entry.name for entry in queue})
        self.outside.pulse(self._status(decision))
        return decision

    def _queue(self) -> tuple[Entry, ...]:
        """Return the queue with what only we know; a person who has seen to a session gives it new chances."""
        queue = self.shelf.queue(self._works, self.work)
        for entry in queue:
            before = self.lapses.get(entry.name)
            if before is not None and entry.name in self.given_up and not entry.hand:
                del self.lapses[entry.name]
                self.given_up.discard(entry.name)
        moved = {name: work.on for name, work in self.work.items()}
        return tuple(replace(entry, lapse=self.lapses.get(entry.name), on=moved.get(entry.name, "")) for entry in queue)

    def _works(self, folder: Folder) -> bool:
        return folder.name in self.work or self.outside.held(folder.lock)

    def _forgive(self) -> None:
        """Give children time again after we were kept from listening: this whole machine may have stood still."""
        now = self.clock.now()
        if self.looked is not None and now - self.looked > _GAP:
            for work in self.work.values():
                work.heard = now
        self.looked = now

    def _take_off(self, name: str, why: str) -> None:
        """Take a session off the queue; where its folder can't be written to, the others go on."""
        try:
            take_off(self.shelf.folder(name))
        except OSError as error:
            if name not in self.kept:
                self.outside.say(f"{name}: {why}, but can't be taken off the queue: {error.strerror}")
            self.kept.add(name)
        else:
            self.outside.say(f"{name}: {why}, off the queue")
            self.kept.discard(name)

    # --- children

    def _start(self, start: Start) -> None:
        folder, known = self.shelf.folder(start.name), self.shelf.known(start.name)
        try:
            child = self.starter.start(start.name, folder.service_log, start.on)
        except BisectbotError as error:
            self._lapse(start.name, known, Ending.FAULT, known)
            self.outside.say(f"{start.name}: can't be started: {error}")
            return
        self.work[start.name] = _Work(child, known, self.clock.now(), start.on or "")
        self.outside.say(f"{start.name}: started, pid {child.pid}" + (f", on {start.on}" if start.on else ""))

    def _listen(self, name: str, work: _Work) -> None:
        """Take note of a child's signs of life, and of its end; end one that gives none."""
        code = work.child.poll()
        words = work.child.heard()
        now = self.clock.now()
        if words:
            work.heard = now
        if "WATCHDOG=1" in words:
            work.patience = SILENCE
        if "STOPPING=1" in words:
            work.patience = _PATIENCE
        work.busy |= f"ERRNO={errno.EBUSY}" in words
        if code is not None:
            self._ended(name, work, code)
        elif now - work.heard > work.patience:
            self.outside.say(f"{name}: no sign of life for {now - work.heard:.0f} s, killed")
            work.child.kill()
            work.heard = now

    def _ended(self, name: str, work: _Work, code: int) -> None:
        del self.work[name]
        work.child.close()
        known = self.shelf.known(name)
        ending = _ending(code, work, known)
        said = self.outside.last_words(self.shelf.folder(name).service_log)
        self.outside.say(f"{name}: ended with {_code(code)}: {visible(said, _SHOWN)}")
        if ending is None:
            self.lapses.pop(name, None)
        else:
            self._lapse(name, known, ending, work.before)

    def _lapse(self, name: str, known: Known | None, ending: Ending, before: Known | None) -> None:
        if known is not None:
            steps = before.steps if before else 0
            self.lapses[name] = lapse(self.lapses.get(name), ending, known, steps, self.clock.wall())

    def _give_up(self, name: str, why: str) -> None:
        folder = self.shelf.folder(name)
        said = visible(self.outside.last_words(folder.service_log), _SHOWN)
        told = f"{why}: {said}" if said else why
        with suppress(BisectbotError):  # no room on the disk, say: the next round tries again
            self.outside.needs_a_hand(folder, told)
            self.given_up.add(name)
            self.outside.say(f"{name}: needs a hand: {told}")

    def _drop(self, queued: Iterable[str]) -> None:
        """End what was taken off the queue, in case that whoever did it couldn't."""
        for name in self.work.keys() - set(queued):
            work = self.work[name]
            work.off = self.clock.now() if work.off is None else work.off
            if self.clock.now() - work.off > _OFF:
                work.child.terminate()
                work.off = float("inf")

    def _hook(self, queued: Iterable[str]) -> None:
        names = set(queued)
        for folder in self.shelf.folders():
            try:
                self.outside.each_round(Session(folder, self._works(folder), folder.name in names))
            except BisectbotError as error:
                self.outside.say(f"{folder.name}: {error}")

    def _status(self, decision: Decision) -> str:
        waiting = f", {len(decision.waits)} wait" if decision.waits else ""
        hand = f", {len(decision.hand)} need a hand" if decision.hand else ""
        return f"{len(self.work)} at work ({', '.join(sorted(self.work)) or 'none'}){waiting}{hand}"

    # --- the end

    def stop(self, wait: Callable[[float], None]) -> None:
        """End all children within 10 seconds; `wait` passes the time. The queue stays as it is."""
        for work in self.work.values():
            work.child.terminate()
        late = self.clock.now() + _GRACE
        while self.work and self.clock.now() < late:
            wait(0.1)
            self._reap()
        for work in self.work.values():
            work.child.kill()
        while self.work:
            wait(0.05)
            self._reap()
        self.outside.stay_awake(False)

    def _reap(self) -> None:
        for name, work in list(self.work.items()):
            if (code := work.child.poll()) is not None:
                self._ended(name, work, code)


def _ending(code: int, work: _Work, known: Known | None) -> Ending | None:
    """Return how a process ended as far as its session's journal doesn't tell; None if that tells all."""
    if work.busy:
        return Ending.BUSY
    written = known is not None and (work.before is None or known.rows > work.before.rows)
    if written and known is not None and known.told:
        return None
    if code == _FAULT:
        return Ending.FAULT
    return Ending.STUCK if code in (_BUG, _MISTAKE) else Ending.KILLED


def _code(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
