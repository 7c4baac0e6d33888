"""What this machine needs to drive a real one; the machine itself is looked at by `bisectbot hosts check`."""

from __future__ import annotations

from collections.abc import Iterator

from bisectbot.doctor.finding import Bench, Finding, Status, lacking
from bisectbot.lab import BootMethod, CommandConsole, CommandPower, IpmiPower, LabHost, PxeMode, SnmpPower


def lab(bench: Bench, host: LabHost, absent: Status) -> Iterator[Finding]:
    """Check the programs that reaching one machine calls."""
    name = f"host {host.name}"
    needed = dict.fromkeys(_tools(host))  # a lab's own script may be named for each act
    missing = [(tool, package) for tool, package in needed if bench.proc.which(tool) is None]
    for tool, package in missing:
        detail = f"{tool} is not installed"
        yield lacking(name, absent, detail, package) if package else Finding(name, absent, detail, f"install {tool}")
    if not missing:
        yield Finding(name, Status.OK, "what drives it is here", f"see the machine: bisectbot hosts check {host.name}")


def _tools(host: LabHost) -> Iterator[tuple[str, str]]:
    """Yield programs and the Debian packages that they are in, "" for the user's own."""
    match host.power:
        case IpmiPower():
            yield "ipmitool", "ipmitool"
        case SnmpPower():
            yield from (("snmpset", "snmp"), ("snmpget", "snmp"))
        case CommandPower(on, off, cycle, status):
            yield from ((argv[0], "") for argv in (on, off, cycle, status) if argv)
        case _:
            pass
    if isinstance(host.console, CommandConsole):
        yield host.console.command[0], ""
    if BootMethod.PXE in host.boots and host.pxe and host.pxe.network.mode is not PxeMode.FOLDER:
        yield "dnsmasq", "dnsmasq-base"
