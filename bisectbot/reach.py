"""What reaching a real machine needs from outside, as Protocols: a shell, a switch, a console line, a netboot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bisectbot.lab import Owner, Secret
from bisectbot.ports import Console, ConsoleLog, Deadline


@dataclass(frozen=True)
class Said:
    """What a command on another machine left: its exit code and its output, both streams, at most 1 MiB."""

    code: int
    text: str


class Shell(Protocol):
    """One SSH connection."""

    def run(self, argv: Sequence[str], deadline: Deadline, stdin: bytes = b"") -> Said:
        """Run one command to its end. Each word arrives as it is: none is read by a shell as anything but a word.

        Dropped if the connection ends before the command does; Overdue past the deadline.
        """
        ...

    def put(self, source: Path, target: str, deadline: Deadline, tell: Callable[[int], None] | None = None) -> None:
        """Copy a file there (0600, whole or not at all); `tell` gets the bytes sent so far. Raises as run()."""
        ...

    def put_bytes(self, content: bytes, target: str, deadline: Deadline) -> None:
        """Write a small file there, as put()."""
        ...

    def stream(self, argv: Sequence[str]) -> AbstractContextManager[Wire]:
        """Start a command and read what it prints as it comes; leaving the context hangs up."""
        ...

    def detach(self, argv: Sequence[str], deadline: Deadline) -> None:
        """Start a command that outlives the connection (and may well end it), and return at once."""
        ...


class Door(Protocol):
    """A machine's SSH server."""

    def open(self, deadline: Deadline) -> AbstractContextManager[Shell]:
        """Connect once. Unreachable if nobody answers (yet), Stranger if the server's key isn't a pinned one.

        Raises ConfigError if our own key can't be used, Refused if the server doesn't take it.
        """
        ...


class Secrets(Protocol):
    """Where passwords come from, at the moment they are needed; nothing keeps them."""

    def reveal(self, secret: Secret) -> str:
        """Return the password; ConfigError naming the variable or file if it isn't there."""
        ...


class PowerState(StrEnum):
    """What a switch says; UNKNOWN where it can't be asked."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class Switch(Protocol):
    """One machine's power, as its BMC or PDU does it: what was asked for may not have happened yet when these return.

    Each raises HostSick (or Overdue) if it can't be done or asked.
    """

    def on(self, deadline: Deadline) -> None:
        """Ask for power."""
        ...

    def off(self, deadline: Deadline) -> None:
        """Ask for no power, at once."""
        ...

    def status(self, deadline: Deadline) -> PowerState:
        """Ask how it is."""
        ...

    def cycle(self, deadline: Deadline) -> bool:
        """Do off and on as one act of the lab's own; False where there is none."""
        ...

    def netboot_once(self, deadline: Deadline) -> bool:
        """Ask the firmware to boot from the network at the next start, once; False where that can't be asked."""
        ...


class Wire(Protocol):
    """Bytes from a machine, as they come."""

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any, b"" once it has ended."""
        ...


class Recorder(Protocol):
    """A machine's console while the machine is used: always listened to, kept whole, handed out boot by boot."""

    def cut(self, log: ConsoleLog) -> AbstractContextManager[Console]:
        """Begin a boot: what comes from now on goes to `log` and is handed out; its console never ends by itself."""
        ...

    def adding(self, wire: Wire, what: str) -> AbstractContextManager[None]:
        """Merge another wire into the stream, whole lines at a time, until the context is left."""
        ...

    def note(self, text: str) -> None:
        """Write a line of ours into the log."""
        ...

    def ready(self, deadline: Deadline) -> None:
        """Wait until the console is listened to; HostSick if it isn't in time."""
        ...


class FactsWire(Wire, Protocol):
    """What candidates send over the network; it outlives a boot."""

    port: int

    def expect(self, token: str) -> None:
        """Hand out the facts of this boot only."""
        ...


class Line(Protocol):
    """A console that can be listened to, and again when the connection was lost."""

    what: str  # for people: "SOL of 10.0.0.7"

    def open(self, deadline: Deadline) -> AbstractContextManager[Wire]:
        """Begin to listen. HostSick if that can't be done now."""
        ...


@dataclass(frozen=True)
class NetbootJob:
    """What one machine is to boot from the network, once."""

    mac: str
    kernel: Path
    initramfs: Path | None
    cmdline: tuple[str, ...]


class Netboot(Protocol):
    """A network that machines boot from. Without a job a machine is sent to its local disk."""

    def offer(self, job: NetbootJob) -> AbstractContextManager[Offer]:
        """Let the machine find the job; leaving the context takes it away again, whatever happened."""
        ...

    def idle(self) -> AbstractContextManager[None]:
        """Serve without a job: every machine is sent to its local disk. HostSick if that can't be done."""
        ...


class Offer(Protocol):
    """A job that lies ready."""

    def taken(self) -> bool:
        """Whether the machine has fetched it; from then on it isn't offered any more."""
        ...

    def check(self) -> None:
        """HostSick if what serves it isn't there any more."""
        ...

    def withdraw(self) -> None:
        """Take the job away: from now on the machine boots its local disk."""
        ...


class Me(Protocol):
    """This process and this machine."""

    def owner(self) -> Owner:
        """Return who we are."""
        ...

    def gone(self, other: Owner) -> bool:
        """Whether an owner was a process of this machine that doesn't run any more."""
        ...
