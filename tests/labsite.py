"""A bot and one machine of the machine room: boots as a session has them, and the proof that the machine is well."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from machineroom.machine import Machine

from bisectbot.boot import home, initramfs
from bisectbot.boot.hostbook import HostBook
from bisectbot.boot.hostroot import Programs
from bisectbot.boot.identity import Identity
from bisectbot.boot.programs import compiled
from bisectbot.cli.labwiring import Lab, lab_machine
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.me import ThisProcess
from bisectbot.effects.proc import Processes
from bisectbot.effects.secrets import SystemSecrets
from bisectbot.lab import BootMethod, Homed, LabHost, Patiences, Ssh, TcpConsole
from bisectbot.model import Arch, Deadlines, Kernel, Trial
from bisectbot.probe.trials import trials
from bisectbot.probe.watcher import Asked

# A machine here boots its known-good system in 5 s when nothing else runs, in 25 s beside two compilers.
PATIENCES = Patiences(home=90, power=10, rest=3)
DEADLINES = Deadlines(boot=90, silence=60, heartbeat=15, run=20)


@dataclass
class Boot:
    """What one boot gave."""

    trials: list[Trial]
    homed: Homed | None
    seconds: float
    console: str


@dataclass
class Site:
    """One machine, and the bot that uses it; the bot remembers the machine from boot to boot."""

    machine: Machine
    folder: Path
    kernel: Kernel
    program: Path
    boots: int = 0
    clock: SystemClock = field(default_factory=SystemClock)

    def lab(self, name: str = "bot") -> Lab:
        """Return the lab as a bot of this name has it."""
        book = HostBook(self.folder / name / "hosts")
        return Lab(self.clock, Processes(), SystemSecrets(), book, ThisProcess())

    def host(self, **changes: object) -> LabHost:
        """Return the machine's description: kexec, and its serial console."""
        plain = LabHost(
            name=self.machine.name,
            arch=Arch.X86_64,
            ssh=Ssh("127.0.0.1", (self.machine.host_key,), self.machine.ssh_port, key=self.machine.base.key),
            boots=(BootMethod.KEXEC,),
            cmdline=("tsc_early_khz=2600000", "panic=3"),
            console=TcpConsole("127.0.0.1", self.machine.console_port),
            deadlines=DEADLINES,
            patiences=PATIENCES,
        )
        return replace(plain, **changes)  # type: ignore[arg-type]  # the callers' fields fit

    def boot(self, host: LabHost, *orders: str, runs: int = 1, kernel: Kernel | None = None, bot: str = "bot") -> Boot:
        """Boot once as a session does, the program obeying `orders`; raises what the boot raises."""
        self.boots += 1
        logs = self.folder / bot / f"boot-{self.boots}"
        logs.mkdir(parents=True)
        log, asked = logs / "console.log", Asked(secrets.token_hex(8), host.deadlines, runs)
        ours = compiled(Processes(), self.clock, Arch.X86_64)
        archive = logs / "initramfs.cpio"
        archive.write_bytes(initramfs.pack(ours.init.read_bytes(), self.program.read_bytes(), orders))
        began = time.monotonic()
        with lab_machine(self.lab(bot), host, logs, Programs(ours.runner, self.program, orders)) as machine:
            booted = kernel or self.kernel
            found = list(trials(machine, booted, archive, asked, log, self.boots, self.clock))
            homed = machine.homed()
        return Boot(found, homed, time.monotonic() - began, log.read_text(errors="replace"))

    def at_home(self, host: LabHost) -> Identity:
        """Return who answers, after proof that it is the known-good system and well."""
        return home.at_home(self.lab().way(host))
