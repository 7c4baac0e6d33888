"""A machine without hardware and a bot that boots kernels on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from fakelab import BOT, HOST, FakeMachine, FakeSwitch
from fakes import FakeClock, a_kernel
from fakewires import FakeFacts, FakeNetboot, FakeRecorder

from bisectbot.boot.hold import Parts
from bisectbot.boot.home import Way
from bisectbot.boot.hostbook import HostBook
from bisectbot.boot.hostroot import Programs
from bisectbot.boot.labmachine import LabMachine
from bisectbot.lab import (
    BootMethod,
    Homed,
    LabHost,
    Network,
    Owner,
    Pxe,
    PxeMode,
    PxeNetwork,
    TcpConsole,
)
from bisectbot.model import Kernel
from bisectbot.ports import Chunk

SERIAL = replace(HOST, console=TcpConsole("192.0.2.9", 7007))
NETWORK = PxeNetwork("lab", PxeMode.SERVE, interface="eth1", address="192.0.2.1")
NETBOOTED = replace(SERIAL, boots=(BootMethod.KEXEC, BootMethod.PXE), pxe=Pxe(NETWORK, "52:54:00:00:00:01"))
WORDS = ("bisectbot.token=c0ffee01", "bisectbot.trials=2", "bisectbot.limit=20")
KERNEL = b"[    0.000000] Linux version 6.1.0-bb-candidate\n"
DONE = b'@bb 9 0badcafe {"t":"done"}\n'
SAYS = ((1.0, KERNEL), (3.0, DONE))
REPORTS = replace(HOST, network=Network("10.0.0.7::10.0.0.1:255.255.255.0::eth1:off", "10.0.0.1"))


class Me:
    """A bot that knows no dead owner."""

    def owner(self) -> Owner:
        """Return who."""
        return BOT

    def gone(self, other: Owner) -> bool:
        """Say that everybody lives."""
        assert other != BOT
        return False


class Log:
    """A console log that nobody reads; fits ports.ConsoleLog."""

    def write(self, chunk: Chunk) -> None:
        """Drop it."""


@contextmanager
def dropped(log: Path) -> Iterator[Log]:
    """Open one."""
    assert log.name == "console.log"
    yield Log()


@dataclass
class Bench:
    """A machine, and a bot that boots kernels on it."""

    folder: Path
    host: LabHost = SERIAL
    machine: FakeMachine = field(default_factory=lambda: FakeMachine(FakeClock(), candidate=SAYS, leaves=3.0))

    def __post_init__(self) -> None:
        self.book = HostBook(self.folder / "hosts")
        self.recorder = FakeRecorder(self.machine)
        self.netboot = FakeNetboot(self.machine)
        self.switch: FakeSwitch | None = FakeSwitch(self.machine)
        self.facts = FakeFacts(self.machine) if self.host.network else None
        self.kernel: Kernel = replace(a_kernel("c" * 40), image=self.folder / "bzImage", config=self.folder / "config")
        self.initramfs = self.folder / "initramfs.cpio"
        for path in (self.kernel.image, self.kernel.config, self.initramfs):
            path.write_bytes(path.name.encode())
        self.programs = Programs(self.initramfs, self.initramfs, ())

    def bot(self) -> LabMachine:
        """Return a bot that begins now."""
        way = Way(self.host, self.machine, self.switch, BOT, self.machine.clock)
        facts, netboot, programs = self.facts, self.netboot, self.programs
        return LabMachine(way, Parts(self.recorder, Me(), self.book, dropped, facts, netboot, programs))

    def boot(
        self,
        bot: LabMachine | None = None,
        *,
        first: Callable[[], None] = lambda: None,
        then: Callable[[], None] = lambda: None,
        seconds: float = 20.0,
    ) -> tuple[bytes, Homed | None]:
        """Boot once, do `first`, listen, do `then`; return what was heard and how the machine came home."""
        bot = bot or self.bot()
        heard = b""
        with bot.boot(self.kernel, self.initramfs, WORDS, self.folder / "console.log") as console:
            first()
            began = self.machine.clock.now()
            for chunk in console.chunks(0.25):
                heard += chunk.data if chunk else b""
                if DONE in heard or self.machine.clock.now() - began > seconds:
                    break
            then()
        return heard, bot.homed()
