"""Serial over LAN: a machine's console through its BMC, by ipmitool; the password only in its environment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from bisectbot.effects.command import CommandLine
from bisectbot.errors import BisectbotError, HostSick, Overdue
from bisectbot.lab import IpmiPower
from bisectbot.ports import Clock, Deadline, Proc
from bisectbot.reach import Secrets, Wire
from bisectbot.visible import visible

_OPERATIONAL = b"[SOL Session operational."
# ipmitool asks for the device's id every 15 s, and that keeps the session alive: a BMC ends one that carried no IPMI
# message for 30 to 60 s. To some (OpenIPMI's for one) SOL packets are none, so that `usesolkeepalive` loses the console
# in the middle of a boot. It gives up after 7 questions; repeating each of them, as by default, would take minutes.
_ACTIVATE = ("-N", "2", "-R", "1", "sol", "activate")
# Get Payload Instance Info of SOL's first instance: whose session has it (IPMI 2.0, 24.5). That question finds what
# ipmitool's own doesn't: a session that lives, but lost its console to somebody else. It would be a silent machine.
_WHOSE = ("-N", "2", "-R", "1", "raw", "0x06", "0x4b", "0x01", "0x01")
_NOBODY = "00000000"
_SILENCE = 10.0  # seconds without a byte before the BMC is asked: what comes shows whose it is
_ANSWER_SECONDS = 5.0
_DEACTIVATE_SECONDS = 10.0
_LOOK = 0.25
_MOST = 4096  # bytes of ipmitool's own words before a session


class SolLine:
    """Fits reach.Line. A BMC has one session: what another program holds is taken from it."""

    def __init__(self, power: IpmiPower, secrets: Secrets, proc: Proc, silence: float = _SILENCE) -> None:
        self._power = power
        self._secrets = secrets
        self._proc = proc
        self._silence = silence
        self.what = f"SOL of {power.address}"

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[Wire]:
        """Begin a session, and return once the BMC agreed. HostSick if it doesn't, Overdue if it takes too long."""
        env = {"IPMITOOL_PASSWORD": self._secrets.reveal(self._power.password), "TERM": "dumb"}
        short = Deadline.after(deadline.clock, min(_DEACTIVATE_SECONDS, deadline.remaining))
        with suppress(Overdue):  # without a session to end it fails, and says so
            self._proc.output([*ipmitool(self._power), "sol", "deactivate"], deadline=short, env=env)
        line = CommandLine([*ipmitool(self._power), *_ACTIVATE], self._proc, env)
        with line.open(deadline) as wire:
            first = self._operational(wire, deadline)
            with guarded(lambda: self._holder(deadline.clock, env), self._silence) as guard:
                yield _Begun(wire, first, guard, self.what)

    def _holder(self, clock: Clock, env: Mapping[str, str]) -> str | None:
        """Return the id of the session that has the console, None if the BMC doesn't tell."""
        deadline = Deadline.after(clock, _ANSWER_SECONDS)
        try:
            code, said = self._proc.output([*ipmitool(self._power), *_WHOSE], deadline=deadline, env=env)
        except BisectbotError:  # whether the BMC is there at all is ipmitool's question in the session itself
            return None
        told = "".join(said.split()[:4])
        return told if code == 0 and len(told) == len(_NOBODY) else None

    def _operational(self, wire: Wire, deadline: Deadline) -> bytes:
        """Return what came behind ipmitool's word that the session stands."""
        said = b""
        while not deadline.passed and len(said) < _MOST:
            data = wire.read(min(_LOOK, deadline.remaining))
            said += data or b""
            before, found, after = said.partition(_OPERATIONAL)
            if found and b"\n" in after:
                return after.partition(b"\n")[2]
            if data == b"":
                raise HostSick(f"{self.what}: {_told(before)}")
        raise Overdue(f"{self.what}: no session in time: {_told(said)}")


class Guard:
    """Knows when bytes came, and finds out whether the console is still ours while none do. Used by two threads."""

    def __init__(self, holder: Callable[[], str | None]) -> None:
        self.lost = False
        self._holder = holder
        self._heard = threading.Event()
        self._over = threading.Event()

    def hear(self) -> None:
        """Take note that bytes came."""
        self._heard.set()

    def end(self) -> None:
        """Stop asking."""
        self._over.set()

    def watch(self, silence: float) -> None:
        """Ask after each `silence` seconds without a byte, until end() or until the console is lost."""
        ours = self._holder()
        while ours not in (None, _NOBODY) and not self.lost and not self._over.wait(silence):
            if self._heard.is_set():
                self._heard.clear()
            else:
                self.lost = self._taken(ours)

    def _taken(self, ours: str | None) -> bool:
        """Return whether two answers agree on another session: one alone, or ids at random, are no alarm."""
        now = self._holder()
        return now not in (None, ours) and self._holder() == now


@contextmanager
def guarded(holder: Callable[[], str | None], silence: float) -> Iterator[Guard]:
    """Watch over a session that just began, as long as the context lasts."""
    guard = Guard(holder)
    thread = threading.Thread(target=guard.watch, args=(silence,), name="guard of a console", daemon=True)
    thread.start()
    try:
        yield guard
    finally:
        guard.end()
        thread.join()


class _Begun:
    """A wire of which something was read already; fits reach.Wire."""

    def __init__(self, wire: Wire, first: bytes, guard: Guard, what: str) -> None:
        self._wire = wire
        self._first = first
        self._guard = guard
        self._what = what

    def read(self, patience: float) -> bytes | None:
        """Return as the wire does, what was read before comes first. HostSick once the console isn't ours any more."""
        first, self._first = self._first, b""
        data = first or self._wire.read(min(patience, _LOOK))
        while data is None and not self._guard.lost and (patience := patience - _LOOK) > 0:
            data = self._wire.read(min(patience, _LOOK))
        if data:
            self._guard.hear()
        elif self._guard.lost:
            raise HostSick(f"{self._what}: the BMC ended the session or gave the console to another one")
        return data


def ipmitool(power: IpmiPower) -> list[str]:
    """Return the beginning of every command to this BMC; -E takes the password from the environment."""
    where = ["-H", power.address, "-p", str(power.port), "-U", power.user]
    return ["ipmitool", "-I", "lanplus", "-C", str(power.cipher), "-E", *where]


def _told(said: bytes) -> str:
    return visible("; ".join(said.decode(errors="replace").split("\n")).strip("; \r"), 200) or "ipmitool said nothing"
