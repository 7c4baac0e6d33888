"""The console line that a host's description names."""

from __future__ import annotations

from bisectbot.effects.command import CommandLine
from bisectbot.effects.sol import SolLine
from bisectbot.effects.tail import FileLine
from bisectbot.effects.tcp import TcpLine
from bisectbot.effects.udp import NetLine
from bisectbot.errors import ConfigError
from bisectbot.lab import CommandConsole, FileConsole, IpmiPower, LabHost, NetConsole, SolConsole, TcpConsole
from bisectbot.ports import Proc
from bisectbot.reach import Line, Secrets


def console_line(host: LabHost, proc: Proc, secrets: Secrets, source: str = "") -> Line | None:
    """Return how to listen to a host, None if it has no console; only netconsole from `source` counts, if given."""
    match host.console:
        case TcpConsole():
            return TcpLine(host.console)
        case CommandConsole(command):
            return CommandLine(command, proc)
        case FileConsole():
            return FileLine(host.console)
        case NetConsole():
            return NetLine(host.console, source)
        case SolConsole():
            if isinstance(host.power, IpmiPower):
                return SolLine(host.power, secrets, proc)
            raise ConfigError(f"host {host.name}: a console of kind sol needs power of kind ipmi")
        case None:
            return None
