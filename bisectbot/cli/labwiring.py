"""The real effects behind a real machine, put together for as long as it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bisectbot import places
from bisectbot.boot.hold import Parts
from bisectbot.boot.home import Way
from bisectbot.boot.hostbook import HostBook
from bisectbot.boot.hostroot import Programs
from bisectbot.boot.labmachine import LabMachine
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.dhcp import dhcp_answered
from bisectbot.effects.httpd import served
from bisectbot.effects.lines import console_line
from bisectbot.effects.listener import FactListener, fact_listener
from bisectbot.effects.lock import Lock
from bisectbot.effects.me import ThisProcess
from bisectbot.effects.proc import Processes
from bisectbot.effects.recorder import Recorder, recorder
from bisectbot.effects.redfish import RedfishSwitch
from bisectbot.effects.secrets import SystemSecrets
from bisectbot.effects.ssh import SshDoor
from bisectbot.lab import BootMethod, CommandPower, IpmiPower, LabHost, Network, RedfishPower, SnmpPower
from bisectbot.netboot.networks import netboot
from bisectbot.netboot.serving import Tools
from bisectbot.ports import Console
from bisectbot.power.command import CommandSwitch
from bisectbot.power.ipmi import IpmiSwitch
from bisectbot.power.snmp import SnmpSwitch
from bisectbot.reach import Netboot, Switch


@dataclass(frozen=True)
class Lab:
    """What every use of real machines needs; nothing is started by making one.

    Its child processes are its own: a machine is brought home even while the bot's other children are being ended.
    """

    clock: SystemClock
    proc: Processes
    secrets: SystemSecrets
    book: HostBook
    me: ThisProcess
    hosts: tuple[LabHost, ...] = ()  # all that hosts.toml lists: on a network of ours, each gets its address from us

    @classmethod
    def here(cls, hosts: tuple[LabHost, ...] = ()) -> Lab:
        """Return the lab as this machine reaches it."""
        book = HostBook(places.cache() / "hosts")
        return cls(SystemClock(), Processes(), SystemSecrets(), book, ThisProcess(), hosts)

    def switch(self, host: LabHost) -> Switch | None:
        """Return a machine's power switch, None if it has none."""
        match host.power:
            case IpmiPower():
                return IpmiSwitch(host.power, self.proc, self.secrets)
            case RedfishPower():
                return RedfishSwitch(host.power, self.secrets)
            case SnmpPower():
                return SnmpSwitch(host.power, self.proc, self.secrets)
            case CommandPower():
                return CommandSwitch(host.power, Processes(orphaned=True))
            case None:
                return None

    def check_secrets(self, host: LabHost) -> None:
        """Raise ConfigError if a password isn't there: found out at the first power cycle, it would be too late."""
        match host.power:
            case IpmiPower(password=secret) | RedfishPower(password=secret) | SnmpPower(community=secret):
                self.secrets.reveal(secret)
            case _:
                pass

    def way(self, host: LabHost) -> Way:
        """Return what a machine is brought home with."""
        return Way(host, SshDoor(host.ssh, self.clock), self.switch(host), self.me.owner(), self.clock)

    def lock(self, host: LabHost) -> Lock:
        """Take a machine for this process; Busy if another one here has it. Bots elsewhere: see boot/rails.py."""
        return Lock(self.book.folder / f"{host.name}.lock", f'host "{host.name}"')

    @contextmanager
    def listening(self, host: LabHost, log: Path) -> Iterator[Recorder]:
        """Keep a machine's console, from its first byte on; what comes outside of boots goes to `log`."""
        with (
            console_log(log) as kept,
            recorder(console_line(host, self.proc, self.secrets), kept, self.clock) as keeping,
        ):
            yield keeping

    @contextmanager
    def following(self, host: LabHost, logs: Path) -> Iterator[tuple[Recorder, Console]]:
        """Listen to a machine outside of any boot."""
        with (
            self.listening(host, logs / "before.log") as keeping,
            console_log(logs / "console.log") as kept,
            keeping.cut(kept) as recorded,
        ):
            yield keeping, recorded

    def netboot(self, host: LabHost) -> Netboot | None:
        """Return what a machine boots from the network with, None if it doesn't; nothing is started."""
        if host.pxe is None or BootMethod.PXE not in host.boots:
            return None
        network = host.pxe.network
        tools = Tools(self.proc, self.clock, served, Lock, dhcp_answered)
        return netboot(network, [*self.hosts, host], tools, places.cache() / "netboot" / network.name)


@contextmanager
def lab_machine(lab: Lab, host: LabHost, logs: Path, programs: Programs | None) -> Iterator[LabMachine]:
    """Take a machine, and give it back; its console between boots goes to `logs`."""
    with ExitStack() as stack:
        lab.check_secrets(host)
        stack.enter_context(lab.lock(host))
        keeping = stack.enter_context(lab.listening(host, logs / f"{host.name}.log"))
        facts = stack.enter_context(_facts(host.network)) if host.network else None
        parts = Parts(
            recorder=keeping,
            me=lab.me,
            book=lab.book,
            log=console_log,
            facts=facts,
            netboot=_kept_up(lab, host, stack),
            programs=programs,
        )
        machine = LabMachine(lab.way(host), parts)
        stack.callback(machine.close)
        yield machine


def _kept_up(lab: Lab, host: LabHost, stack: ExitStack) -> Netboot | None:
    """Serve for as long as the machine is used: its known-good system may get its own address from us."""
    found = lab.netboot(host)
    if found is not None:
        stack.enter_context(found.idle())
    return found


def _facts(network: Network) -> AbstractContextManager[FactListener]:
    return fact_listener(network.listen or network.address, network.port)
