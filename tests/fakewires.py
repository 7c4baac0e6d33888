"""What comes from a test machine without hardware, and what it boots from: a console, and a network that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bisectbot.errors import HostSick
from bisectbot.ports import Chunk, ConsoleLog, Deadline
from bisectbot.reach import NetbootJob, Wire

if TYPE_CHECKING:
    from fakelab import FakeMachine


@dataclass
class FakeWire:
    """Fits reach.Wire: what comes, and then its end, or only silence."""

    pieces: list[bytes]
    ends: bool = True

    def read(self, patience: float) -> bytes | None:
        """Return the next piece."""
        assert patience >= 0
        if self.pieces:
            return self.pieces.pop(0)
        return b"" if self.ends else None


@dataclass
class FakeFacts:
    """What a candidate's init sends over the network, at times; fits reach.FactsWire."""

    of: FakeMachine
    port: int = 4040
    expected: list[str] = field(default_factory=list)

    def expect(self, token: str) -> None:
        """Keep it."""
        self.expected.append(token)

    def read(self, patience: float) -> bytes | None:
        """Send nothing: what is merged in comes by the machine's tape."""
        assert patience >= 0
        return None


@dataclass
class FakeRecorder:
    """The machine's console; fits reach.Recorder. A boot hears what is said from its begin on."""

    of: FakeMachine
    fault: HostSick | None = None  # it can't be listened to
    kind: type[FakeRecorded] = field(default_factory=lambda: FakeRecorded)
    notes: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)  # sources that are merged in now
    ever: list[str] = field(default_factory=list)  # ... or were

    @contextmanager
    def cut(self, log: ConsoleLog) -> Iterator[FakeRecorded]:
        """Begin a boot."""
        assert log is not None
        yield self.kind(self.of)

    @contextmanager
    def adding(self, wire: Wire, what: str) -> Iterator[None]:
        """Merge all that a wire has."""
        self.added.append(what)
        self.ever.append(what)
        while data := wire.read(0):  # all of it at once
            self.of.tape.append((self.of.clock.now(), data))
        try:
            yield
        finally:
            self.added.remove(what)

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)

    def ready(self, deadline: Deadline) -> None:
        """Say whether it is listened to."""
        assert not deadline.passed
        if self.fault is not None:
            raise self.fault


@dataclass
class FakeRecorded:
    """Fits ports.Console; ends only with `over`."""

    of: FakeMachine
    reset: bool = False
    gap: bool = False
    over: bool = False

    def __post_init__(self) -> None:
        """Count from now on."""
        self.began = self.of.clock.now()

    def chunks(self, patience: float) -> Iterator[Chunk | None]:
        """Yield what is due, None after `patience` seconds without anything."""
        while not self.over:
            self.of.live()
            self.of.tape.sort(key=lambda said: said[0])
            if self.of.tape and self.of.tape[0][0] <= self.of.clock.now():
                at, data = self.of.tape.pop(0)
                yield Chunk(at - self.began, data)
            else:
                self.of.clock.sleep(patience)
                yield None


@dataclass
class FakeOffer:
    """Fits reach.Offer."""

    job: NetbootJob
    fetched: bool = False
    withdrawn: bool = False
    fault: HostSick | None = None

    def taken(self) -> bool:
        """Whether the machine has it."""
        return self.fetched

    def check(self) -> None:
        """Say whether it is still served."""
        if self.fault is not None:
            raise self.fault

    def withdraw(self) -> None:
        """Take it away."""
        self.withdrawn = True


@dataclass
class FakeNetboot:
    """The network that a machine boots from; fits reach.Netboot."""

    of: FakeMachine
    fault: HostSick | None = None  # nothing can be served
    dies: HostSick | None = None  # what serves it ends
    ignored: bool = False  # the machine's firmware doesn't ask
    idling: bool = False
    offers: list[FakeOffer] = field(default_factory=list)

    @contextmanager
    def offer(self, job: NetbootJob) -> Iterator[FakeOffer]:
        """Let the machine find the job at its next start."""
        self._serve()
        made = FakeOffer(job, fault=self.dies)
        self.of.offered = None if self.ignored else made
        self.offers.append(made)
        try:
            yield made
        finally:
            made.withdrawn = True

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Serve nobody."""
        self._serve()
        self.idling = True
        try:
            yield
        finally:
            self.idling = False

    def _serve(self) -> None:
        if self.fault is not None:
            raise self.fault
