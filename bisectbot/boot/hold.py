"""A real machine in our hands: proven and locked before it is used, known to be heard, and brought home again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bisectbot.boot import home, rails
from bisectbot.boot.echo import echoes
from bisectbot.boot.home import Way
from bisectbot.boot.hostbook import HostBook
from bisectbot.boot.hostroot import Programs
from bisectbot.boot.identity import Identity
from bisectbot.boot.words import longest
from bisectbot.errors import HostSick, InfraError, Quarantined, Refused, Stranger
from bisectbot.lab import Homed, NetConsole
from bisectbot.ports import Console, ConsoleLog, Deadline
from bisectbot.reach import FactsWire, Me, Netboot, Recorder

_CONSOLE_SECONDS = 60.0  # to get back a console that was lost
_ECHO_SECONDS = 5.0


@dataclass(frozen=True)
class Parts:
    """What a machine is reached with."""

    recorder: Recorder
    me: Me
    book: HostBook
    log: Callable[[Path], AbstractContextManager[ConsoleLog]]
    facts: FactsWire | None = None  # what the candidate's init sends over the network
    netboot: Netboot | None = None
    programs: Programs | None = None  # payload host


class Hold:
    """Our hold on one machine, from the first look until its lock is given back."""

    def __init__(self, way: Way, parts: Parts) -> None:
        self._way = way
        self._parts = parts
        self._clock = way.clock
        self._locked = False
        self._heard = False  # whether the console brought what the machine said, when it was tried last

    def deadline(self) -> Deadline:
        """Return a deadline for one connection."""
        return Deadline.after(self._clock, self._way.host.patiences.ssh)

    def settle(self) -> Identity:
        """Return the known-good system that runs there, after it was proven, locked, and brought home if need be."""
        host, book = self._way.host, self._parts.book
        book.check(host)
        try:
            seen = home.at_home(self._way)
        except (Refused, Stranger):
            raise
        except InfraError as error:
            seen = self._fetch(error)
        deadline = self.deadline()
        with self._way.door.open(deadline) as shell:
            rails.take_lock(shell, host, self._parts.me, deadline)
        self._locked = True
        book.proven(host, seen.release)
        return seen

    def send_away(self) -> None:
        """Take note that a candidate is about to be started."""
        self._parts.book.send_away(self._way.host, self._clock.wall())

    def bring_home(self, *, expected: bool, release: str) -> tuple[Identity, Homed]:
        """Climb the recovery ladder; a machine that can't be brought home is set aside, and Quarantined raised."""
        host, note = self._way.host, self._parts.recorder.note
        way = replace(self._way, stopping=lambda: False)  # even if the bot is told to stop
        try:
            seen, homed = home.bring_home(way, release=release, expected=expected)
        except Quarantined as error:
            self._parts.book.set_aside(host, error.message)
            note(error.message)
            raise
        self._parts.book.proven(host, seen.release)
        note(f"home {homed.how} after {homed.seconds:.1f} s")
        return seen, homed

    def give_back(self) -> None:
        """Give the machine's lock back; one that can't be given back lapses."""
        if not self._locked:
            return
        deadline = self.deadline()
        with suppress(InfraError), self._way.door.open(deadline) as shell:
            rails.give_lock_back(shell, self._way.host, self._parts.me, deadline)
        self._locked = False

    def _fetch(self, error: InfraError) -> Identity:
        """Bring a machine home that isn't, if it was us who sent it away; else it is only waited for."""
        host = self._way.host
        known = self._parts.book.recall(host)
        sent_away = known.sent_away if known else 0.0
        self._parts.recorder.note(f"{error.message}; waiting for it, or bringing it home")
        if not self._locked and self._clock.wall() - sent_away > rails.LEASE_SECONDS:
            # somebody else may use it by now: a candidate of theirs comes home by itself, or they bring it home
            found = home.wait_for_home(self._way, host.patiences.home + longest(host, ()))
            if not isinstance(found, InfraError):
                return found
            if not sent_away:
                raise HostSick(
                    f'host "{host.name}" doesn\'t answer, and not because we left it so: {found.message}',
                    hint=f"see to it, or: bisectbot hosts power {host.name} cycle",
                )
        seen, _ = self.bring_home(expected=False, release="")
        return seen

    # --- the console

    def listen(self, recorded: Console) -> None:
        """See that the console is there, and brings what the machine says if it ever did. HostSick if it doesn't."""
        self._parts.recorder.ready(Deadline.after(self._clock, _CONSOLE_SECONDS))
        until = Deadline.after(self._clock, _CONSOLE_SECONDS)
        while not (heard := self._echoes(recorded)) and self._heard and not until.passed:
            self._parts.recorder.note("the console doesn't bring what the machine says; waiting for it")
        if self._heard and not heard:
            raise HostSick(f'the console of host "{self._way.host.name}" doesn\'t bring any more what its kernel says')
        self._heard = heard

    def deaf(self, recorded: Console) -> bool:
        """Whether the console brought what the machine said, and now doesn't."""
        return self._heard and not self._echoes(recorded)

    def _echoes(self, recorded: Console) -> bool:
        """Return whether the known-good system is heard; what can't be tried isn't."""
        console = self._way.host.console
        if console is None or isinstance(console, NetConsole):
            return False
        with suppress(InfraError), self._way.door.open(self.deadline()) as shell:
            return echoes(shell, recorded, self._clock, _ECHO_SECONDS)
        return False
