"""A test machine without hardware: it obeys SSH commands and a power switch as told, and refuses all else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fakes import FakeClock
from fakewires import FakeOffer, FakeWire

from bisectbot.boot import echo, home, hostroot, kexec, pstore, rails
from bisectbot.boot.identity import _LOOK
from bisectbot.doctor import host as checks
from bisectbot.errors import HostSick, InfraError, Unreachable
from bisectbot.lab import BootMethod, LabHost, Owner, Ssh
from bisectbot.model import Arch
from bisectbot.ports import Deadline
from bisectbot.reach import PowerState, Said, Wire

BASE, CANDIDATE, WEDGED, OFF = "base", "candidate", "wedged", "off"
BOT = Owner("bot", "bot-machine", "bot-boot", 1, 1)
HOST = LabHost("rack1", Arch.X86_64, Ssh("192.0.2.7", ("ssh-ed25519 AAAA",)), (BootMethod.KEXEC,))
BOOT_SECONDS = 40.0
FINE = {"tool": "/usr/sbin/kexec", "disabled": "0", "loaded": "0", "lockdown": "", "free": "900000", "root": "0"}
_SCRIPTS = {
    _LOOK: "look",
    rails._TAKE: "take",
    rails._GIVE_BACK: "give back",
    kexec._PREFLIGHT: "preflight",
    kexec._SWEEP: "sweep",
    kexec._CHECKSUM: "checksum",
    kexec._LOAD: "load",
    kexec._ARM: "arm",
    kexec._DISARM: "disarm",
    pstore._NAMES: "pstore names",
    pstore._FETCH: "pstore fetch",
    pstore._REMOVE: "pstore remove",
    hostroot._UNPACK: "unpack",
    hostroot._MAKE: "make initramfs",
    hostroot._CLEAN: "clean",
    hostroot._EMPTY: "no modules",
    checks._UPTIME: "uptime",
    echo._SAY: "say",
}


@dataclass
class FakeMachine:
    """What runs there, and what each act makes of it; `obeys` names the acts that work: jump, reboot ...

    `candidate` is what a candidate says, at seconds after the jump; `leaves` when it restarts the machine, None never;
    `answers` whether it has an SSH server.
    """

    clock: FakeClock
    running: str = BASE
    obeys: frozenset[str] = frozenset({"jump", "reboot", "sysrq", "cycle", "rest"})
    marked: bool = True
    marker: str = "rack1"
    machine: str = "x86_64"
    machine_id: str = "rack1-machine"
    release: str = "6.1.0-base"
    boots: int = 1
    up_at: float = 0.0
    power: bool = True
    acts: list[str] = field(default_factory=list)
    logins: int = 0
    off_since: float | None = None
    door_fault: InfraError | None = None  # what every connection ends with
    cut: InfraError | None = None  # what every upload ends with
    held: Said | None = None  # what is said to whoever wants the lock
    locked: bool = False
    kexec: dict[str, str] = field(default_factory=lambda: dict(FINE))
    refuses: str = ""  # what kexec -l says
    watchdog: str = ""  # the one that can be armed
    hears: bool = True  # whether what its kernel says comes over the console
    candidate: Sequence[tuple[float, bytes]] = ()
    leaves: float | None = None
    answers: bool = False
    runner: bytes = b""  # what the runner prints on a candidate that answers
    hangs_up: bool = False  # whether the connection to the runner ends then
    crash: dict[str, str] = field(default_factory=dict)  # pstore: names and base64
    offered: FakeOffer | None = None
    tape: list[tuple[float, bytes]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cmdline: str = ""  # of the last candidate that was loaded
    left_at: float | None = None

    # --- the machine

    def restart(self) -> None:
        """Go through the firmware: into what is offered over the network, or the known-good system after a while."""
        self.boots += 1
        if self.offered is not None and not self.offered.withdrawn and not self.offered.fetched:
            self.offered.fetched = True
            self.cmdline = " ".join(self.offered.job.cmdline)
            self.enter_candidate()
            return
        self.running = BASE
        self.left_at = None
        self.up_at = self.clock.now() + BOOT_SECONDS

    def enter_candidate(self) -> None:
        """Run what was loaded."""
        now = self.clock.now()
        self.running = CANDIDATE if self.answers else WEDGED
        self.up_at = now
        self.tape += [(now + after, data) for after, data in self.candidate]
        self.left_at = now + self.leaves if self.leaves is not None else None

    def live(self) -> None:
        """Let happen what was due."""
        if self.left_at is not None and self.clock.now() >= self.left_at:
            self.restart()

    def answer(self) -> str:
        """Return what a look at the running system prints."""
        cmdline = "root=/dev/vda quiet"
        if self.running == CANDIDATE:
            cmdline = self.cmdline or f"{cmdline} bisectbot.token=abcdef01"
        release = self.release if self.running == BASE else "6.1.0-bb-candidate"
        rows = [f"boot-{self.boots}-{self.running}", release, self.machine, cmdline, self.machine_id]
        return "\n".join([*rows, "marked" if self.marked else "unmarked", self.marker])

    # --- reach.Door and reach.Shell

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[FakeMachine]:
        """Let somebody in where an SSH server runs; each try costs a second."""
        self.logins += 1
        self.clock.sleep(min(1.0, deadline.remaining))
        self.live()
        if self.door_fault is not None:
            raise self.door_fault
        if not self.power or self.running in (WEDGED, OFF) or self.clock.now() < self.up_at:
            raise Unreachable(f"{HOST.ssh.address}: no answer")
        yield self

    def run(self, argv: Sequence[str], deadline: Deadline, stdin: bytes = b"") -> Said:
        """Answer what is known; anything else is refused."""
        assert not deadline.passed
        assert stdin == b""
        if list(argv[:2]) == ["sh", "-c"]:
            return self._script(argv[2], argv[4:])
        match list(argv):
            case ["mkdir", "-p", "-m", "700", *_] | ["touch", _] | ["chmod", "700", *_]:
                return Said(0, "")
            case ["rm", "-f", path]:
                self.files.pop(path, None)
                return Said(0, "")
            case ["cat", "/sys/kernel/kexec_loaded"]:
                return Said(0, "1\n" if self.cmdline else "0\n")
        raise AssertionError(argv)

    def _script(self, script: str, words: Sequence[str]) -> Said:
        name = _SCRIPTS[script]
        self.asked.append(name)
        match name:
            case "take":
                self.locked = self.held is None
                return self.held or Said(0, "")
            case "load":
                self.cmdline = "" if self.refuses else words[2]
                return Said(1 if self.refuses else 0, self.refuses)
            case "arm":
                return Said(0 if self.watchdog else 1, self.watchdog)
            case "give back":
                self.locked = False
            case "say" if self.hears:
                self.tape.append((self.clock.now(), f"{words[0]}\n".encode()))
        return Said(0, self._told(name, words))

    def _told(self, name: str, words: Sequence[str]) -> str:
        """Return what a question prints; acts print nothing."""
        answers: dict[str, Callable[[], str]] = {
            "look": self.answer,
            "uptime": lambda: "4711\n",
            "preflight": lambda: "".join(f"{key}={value}\n" for key, value in self.kexec.items()),
            "checksum": lambda: f"{self.files.get(words[0], 'none')}  {words[0]}\n",
            "pstore names": lambda: " ".join(self.crash),
            "pstore fetch": lambda: "".join(f"{one} {self.crash[one]}\n" for one in words),
        }
        assert name != "look" or list(words) == [HOST.marker], words
        return answers.get(name, str)()

    def detach(self, argv: Sequence[str], deadline: Deadline) -> None:
        """Do what a script is for."""
        del deadline
        act = {home._REBOOT: "reboot", home._SYSRQ: "sysrq", kexec._JUMP: "jump"}[argv[2]]
        self.acts.append(act)
        if act == "jump":
            if act in self.obeys:
                self.enter_candidate()
        elif act in self.obeys:
            self.restart()

    def put(self, source: Path, target: str, deadline: Deadline, tell: Callable[[int], None] | None = None) -> None:
        """Keep a file's checksum."""
        assert tell is None
        assert not deadline.passed
        if self.cut is not None:
            raise self.cut
        self.files[target] = hashlib.sha256(source.read_bytes()).hexdigest()

    def put_bytes(self, content: bytes, target: str, deadline: Deadline) -> None:
        """Refuse."""
        raise AssertionError((content, target, deadline))

    @contextmanager
    def stream(self, argv: Sequence[str]) -> Iterator[Wire]:
        """Run the reproducer on a candidate that answers."""
        assert self.running == CANDIDATE, argv
        self.asked.append("runner")
        yield FakeWire([self.runner], ends=self.hangs_up)


@dataclass
class FakeSwitch:
    """The machine's power; fits reach.Switch. A short absence of power is a cycle, a long one a rest."""

    of: FakeMachine
    dead: bool = False  # nobody answers
    deaf: bool = False  # answers, and does nothing
    mute: bool = False  # does what it is told, and can't be asked
    says: PowerState | None = None  # what it tells, whatever is true
    netboots: bool = False  # whether the firmware can be asked to boot from the network
    asked: list[str] = field(default_factory=list)

    def on(self, deadline: Deadline) -> None:
        """Switch on."""
        self._asked(deadline)
        if self.deaf or self.of.power:
            return
        since = self.of.off_since if self.of.off_since is not None else self.of.clock.now()
        act = "rest" if self.of.clock.now() - since >= HOST.patiences.rest else "cycle"
        self.of.acts.append(act)
        self.of.power = True
        if act in self.of.obeys:
            self.of.restart()

    def off(self, deadline: Deadline) -> None:
        """Switch off."""
        self._asked(deadline)
        if not self.deaf:
            self.of.power = False
            self.of.off_since = self.of.clock.now()

    def status(self, deadline: Deadline) -> PowerState:
        """Say how it is."""
        self._asked(deadline)
        if self.mute:
            return PowerState.UNKNOWN
        return self.says or (PowerState.ON if self.of.power else PowerState.OFF)

    def cycle(self, deadline: Deadline) -> bool:
        """Say that off and on are to be asked for."""
        del deadline
        return False

    def netboot_once(self, deadline: Deadline) -> bool:
        """Say whether it can."""
        self._asked(deadline)
        self.asked.append("netboot")
        return self.netboots

    def _asked(self, deadline: Deadline) -> None:
        self.of.clock.sleep(min(0.3, deadline.remaining))
        if self.dead:
            raise HostSick("the BMC doesn't answer")
