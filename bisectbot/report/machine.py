"""The real machine that candidates ran on, as everybody may know it, and how it came home after each boot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from bisectbot.lab import (
    BootMethod,
    CommandConsole,
    CommandPower,
    ConsoleLine,
    FileConsole,
    Homed,
    IpmiPower,
    LabHost,
    NetConsole,
    Payload,
    PowerSwitch,
    RedfishPower,
    SnmpPower,
    SolConsole,
    TcpConsole,
)
from bisectbot.report.evidence import Link, kept_log
from bisectbot.report.session import Homecoming, Session
from bisectbot.visible import visible

_BOOTS = {BootMethod.KEXEC: "kexec over SSH", BootMethod.PXE: "PXE"}
_PAYLOADS = {
    Payload.INITRAMFS: "an initramfs with the reproducer, which touches no disk",
    Payload.HOST: "the machine's own root file system, the reproducer over SSH",
}
_POWERS: Mapping[type[PowerSwitch], str] = {
    IpmiPower: "a BMC over IPMI",
    RedfishPower: "a BMC over Redfish",
    SnmpPower: "a PDU over SNMP",
    CommandPower: "commands of the lab's",
}
_CONSOLES: Mapping[type[ConsoleLine], str] = {
    SolConsole: "serial over LAN",
    TcpConsole: "a serial line over TCP",
    CommandConsole: "a command of the lab's",
    NetConsole: "netconsole",
    FileConsole: "a file",
}
_MOST_RESCUES = 50
_MOST_TRIED = 10


@dataclass(frozen=True)
class Described:
    """What a machine is, in words that give nothing of its lab away."""

    name: str
    arch: str
    boots: str  # "kexec over SSH, then PXE"
    payload: str
    power: str
    console: str


@dataclass(frozen=True)
class Rescue:
    """A boot after which the machine didn't come home by itself."""

    boot: int
    commit: str
    how: str
    seconds: float
    tried: tuple[str, ...]  # what came before that, and what it came to
    logs: tuple[Link, ...]  # what the machine kept of the crash


@dataclass(frozen=True)
class RealMachine:
    """The section of a report about the machine. Texts are data from outside."""

    described: Described
    ordinary: int  # boots after which it came home by itself
    median_seconds: float | None  # that it took for that
    rescues: tuple[Rescue, ...]
    more: int  # rescues that aren't listed
    logs: tuple[Link, ...]  # what it kept of crashes that it came home from by itself


def described(host: LabHost) -> Described:
    """Return a machine in words."""
    return Described(
        name=host.name,
        arch=host.arch,
        boots=", then ".join(_BOOTS[way] for way in host.boots),
        payload=_PAYLOADS[host.payload],
        power=_POWERS[type(host.power)] if host.power else "none",
        console=_console(host),
    )


def _console(host: LabHost) -> str:
    console = _CONSOLES[type(host.console)] if host.console else "none"
    return f"{console}; init reports over the network" if host.network else console


def real_machine(session: Session, host: LabHost) -> RealMachine:
    """Return the section about the machine of a discreet session."""
    homes = session.homecomings
    ordinary = [home for home in homes if home.homed.by_itself]
    rescues = [_rescue(session, home) for home in homes if not home.homed.by_itself]
    return RealMachine(
        described=replace(described(host), name=session.host),
        ordinary=len(ordinary),
        median_seconds=median(home.homed.seconds for home in ordinary) if ordinary else None,
        rescues=tuple(rescues[:_MOST_RESCUES]),
        more=max(0, len(rescues) - _MOST_RESCUES),
        logs=tuple(kept for home in ordinary for kept in kept_log(session.folder, home))[:_MOST_RESCUES],
    )


def _rescue(session: Session, home: Homecoming) -> Rescue:
    homed = home.homed
    told = tuple(visible(text, 200) for text in homed.tried)[:_MOST_TRIED]
    return Rescue(home.boot, home.commit, homed.how, homed.seconds, told, kept_log(session.folder, home))


def home_in_words(homed: Homed) -> str:
    """Return how a machine came home, on one line; for the lab's own people, addresses and all."""
    tried = f" ({'; '.join(homed.tried)})" if homed.tried else ""
    kept = f"; it kept a crash log: {homed.crash_log}" if homed.crash_log else ""
    return f"{homed.host} is home again {homed.how}, after {homed.seconds:.1f} s{tried}{kept}"
