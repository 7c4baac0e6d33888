"""Serial over LAN: a machine's console through its BMC, by ipmitool; the password only in its environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bisectbot.effects.command import CommandLine
from bisectbot.errors import HostSick, Overdue
from bisectbot.lab import IpmiPower
from bisectbot.ports import Deadline, Proc
from bisectbot.reach import Secrets, Wire
from bisectbot.visible import visible

_OPERATIONAL = b"[SOL Session operational."
# ipmitool looks after the session every 15 s; asking for more than its defaults finds a BMC that is gone within about
# half a minute (otherwise minutes), and one that gave the session to somebody else at all: a silent machine otherwise.
_ACTIVATE = ("-N", "2", "-R", "5", "sol", "activate", "usesolkeepalive")
_DEACTIVATE_SECONDS = 10.0
_LOOK = 0.25
_MOST = 4096  # bytes of ipmitool's own words before a session


class SolLine:
    """Fits reach.Line. A BMC has one session: what another program holds is taken from it."""

    def __init__(self, power: IpmiPower, secrets: Secrets, proc: Proc) -> None:
        self._power = power
        self._secrets = secrets
        self._proc = proc
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
            yield _Begun(wire, self._operational(wire, deadline))

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


class _Begun:
    """A wire of which something was read already; fits reach.Wire."""

    def __init__(self, wire: Wire, first: bytes) -> None:
        self._wire = wire
        self._first = first

    def read(self, patience: float) -> bytes | None:
        """Return as the wire does, what was read before comes first."""
        first, self._first = self._first, b""
        return first or self._wire.read(patience)


def ipmitool(power: IpmiPower) -> list[str]:
    """Return the beginning of every command to this BMC; -E takes the password from the environment."""
    where = ["-H", power.address, "-p", str(power.port), "-U", power.user]
    return ["ipmitool", "-I", "lanplus", "-C", str(power.cipher), "-E", *where]


def _told(said: bytes) -> str:
    return visible("; ".join(said.decode(errors="replace").split("\n")).strip("; \r"), 200) or "ipmitool said nothing"
