"""What may stand in hosts.toml about a real machine's power and console: one class a kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from bisectbot.config import addresses
from bisectbot.config.fields import Address, Command, Ipv4, LocalPath, LocalPathOrNone, Part, Port, SecretPlace, User
from bisectbot.lab import (
    CommandConsole,
    CommandPower,
    ConsoleLine,
    FileConsole,
    IpmiPower,
    NetConsole,
    PowerSwitch,
    RedfishPower,
    SnmpPower,
    SolConsole,
    TcpConsole,
)

# --- power -------------------------------------------------------------------------------------


class PowerTable(Part):
    """[hosts.NAME.power] with kind = "none"; every other kind is a class below."""

    kind: Annotated[str, Field(description="the kind of the switch")]
    noun: ClassVar[type[PowerSwitch] | None] = None

    def switch(self) -> PowerSwitch | None:
        """Return what this table describes."""
        return self.noun(**self.values()) if self.noun else None


class IpmiTable(PowerTable):
    """With kind = "ipmi"."""

    noun = IpmiPower
    address: Address
    port: Port = IpmiPower.port
    user: User
    password: SecretPlace
    # The suites that both authenticate and encrypt; with 0 a BMC asks for no password at all.
    cipher: Annotated[Literal[3, 8, 12, 17], Field(description="3, 8, 12 or 17")] = 17


class RedfishTable(PowerTable):
    """With kind = "redfish"."""

    noun = RedfishPower
    url: Annotated[str, AfterValidator(addresses.service), Field(description=addresses.SERVICE)]
    user: User
    password: SecretPlace
    system: Annotated[str, AfterValidator(addresses.system), Field(description=addresses.SYSTEM)] = RedfishPower.system
    ca: LocalPathOrNone = None


_OutletValue = Annotated[int, Field(strict=True, ge=0, le=(1 << 31) - 1, description="an integer, 0 to 2147483647")]


class SnmpTable(PowerTable):
    """With kind = "snmp"."""

    noun = SnmpPower
    address: Address
    port: Port = SnmpPower.port
    oid: Annotated[str, AfterValidator(addresses.oid), Field(description=addresses.OID)]
    community: SecretPlace
    version: Annotated[Literal["1", "2c"], Field(description='"1" or "2c"')] = "1"
    on: _OutletValue = SnmpPower.on
    off: _OutletValue = SnmpPower.off


class CommandPowerTable(PowerTable):
    """With kind = "command"."""

    noun = CommandPower
    on: Command
    off: Command
    cycle: Command = ()
    status: Command = ()


POWER_KINDS: dict[str, type[PowerTable]] = {
    "ipmi": IpmiTable,
    "redfish": RedfishTable,
    "snmp": SnmpTable,
    "command": CommandPowerTable,
    "none": PowerTable,
}


# --- console -----------------------------------------------------------------------------------


class ConsoleTable(Part):
    """[hosts.NAME.console] with kind = "none"; every other kind is a class below."""

    kind: Annotated[str, Field(description="the kind of the console")]
    noun: ClassVar[type[ConsoleLine] | None] = None

    def line(self) -> ConsoleLine | None:
        """Return what this table describes."""
        return self.noun(**self.values()) if self.noun else None


class SolTable(ConsoleTable):
    """With kind = "sol"."""

    noun = SolConsole


class TcpTable(ConsoleTable):
    """With kind = "tcp"."""

    noun = TcpConsole
    address: Address
    port: Port


class CommandConsoleTable(ConsoleTable):
    """With kind = "command"."""

    noun = CommandConsole
    command: Command


class NetconsoleTable(ConsoleTable):
    """With kind = "netconsole"."""

    noun = NetConsole
    address: Ipv4
    port: Port = NetConsole.port


class FileTable(ConsoleTable):
    """With kind = "file"."""

    noun = FileConsole
    path: LocalPath


CONSOLE_KINDS: dict[str, type[ConsoleTable]] = {
    "sol": SolTable,
    "tcp": TcpTable,
    "command": CommandConsoleTable,
    "netconsole": NetconsoleTable,
    "file": FileTable,
    "none": ConsoleTable,
}
