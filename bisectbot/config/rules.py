"""What keys of hosts.toml demand of each other: within one real machine, within a network, and between two machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from bisectbot.config.check import KeyPath, Mistake, did_you_mean
from bisectbot.config.hostwords import shown
from bisectbot.config.labhosts import Draft
from bisectbot.config.labkinds import CONSOLE_KINDS, POWER_KINDS
from bisectbot.config.labtables import ProxyTable, PxeNetworkTable, ServeTable
from bisectbot.lab import CommandPower, IpmiPower, Payload, RedfishPower, SnmpPower, SolConsole

_IPMI_PORT, _HTTPS_PORT = 623, 443
_UNKNOWN = "?"  # told already


def broken(drafts: Sequence[Draft], networks: Mapping[str, PxeNetworkTable | None]) -> Iterator[Mistake]:
    """Yield every rule that is broken; what has mistakes of its own is judged as far as it can be read."""
    for one in drafts:
        yield from _boot(one, networks)
        yield from _results(one)
        yield from _power(one)
    for name, network in networks.items():
        yield from _network(("pxe", name), network)
    yield from _same_interface(networks)
    yield from _clashes(drafts)


# --- one machine -------------------------------------------------------------------------------


def _boot(one: Draft, networks: Mapping[str, object]) -> Iterator[Mistake]:
    boots = one.raw.get("boot")
    by_pxe = boots == "pxe" or (isinstance(boots, list) and "pxe" in boots)
    if by_pxe and "pxe" not in one.raw:
        yield Mistake((*one.at, "boot"), 'has "pxe", which needs the table pxe with network and mac')
    if one.pxe and one.pxe.network not in networks:
        name = one.pxe.network
        reason = f"is {shown(name)}, and there is no [pxe.NAME] of that name{did_you_mean(name, [*networks])}"
        yield Mistake((*one.at, "pxe", "network"), reason, ", ".join(networks))
    if by_pxe and one.raw.get("payload") == Payload.HOST:
        reason = 'is "host", which can\'t be booted by PXE yet: leave "pxe" out of boot, or use "initramfs"'
        yield Mistake((*one.at, "payload"), reason)
    if one.raw.get("make_initramfs") and one.raw.get("payload") != Payload.HOST:
        yield Mistake((*one.at, "make_initramfs"), 'is used with payload = "host" only: bisectbot makes its own')


def _results(one: Draft) -> Iterator[Mistake]:
    """How a candidate's results come back."""
    console = _kind(one, "console")
    if one.raw.get("payload", Payload.INITRAMFS) == Payload.INITRAMFS and not console and "network" not in one.raw:
        reason = 'needs the table console or network, for no result could come back; or use payload = "host"'
        yield Mistake(one.at, reason)
    if console == "sol" and _kind(one, "power") not in ("ipmi", _UNKNOWN):
        yield Mistake((*one.at, "console", "kind"), 'is "sol", which needs power of kind "ipmi": it is that BMC\'s')
    if console == "netconsole" and "network" not in one.raw:
        yield Mistake((*one.at, "console", "kind"), 'is "netconsole", which needs the table network')
    if console == "netconsole" and (ip := _ip(one)) and not ip[0].isdigit():
        reason = f"is {shown(ip)}, and netconsole begins before an address is asked for: give the machine's own"
        yield Mistake((*one.at, "network", "ip"), reason)


def _ip(one: Draft) -> str:
    network = one.raw.get("network")
    ip = network.get("ip") if isinstance(network, dict) else None
    return ip if isinstance(ip, str) else ""


def _kind(one: Draft, key: str) -> str:
    """Return the kind that a table is said to be of, "" for none."""
    table = one.raw.get(key)
    if not isinstance(table, dict):
        return ""
    kind = table.get("kind")
    known = isinstance(kind, str) and (kind in POWER_KINDS or kind in CONSOLE_KINDS)
    return str(kind).replace("none", "") if known else _UNKNOWN


def _power(one: Draft) -> Iterator[Mistake]:
    match one.power:
        case SnmpPower(on=on, off=off) if on == off:
            yield Mistake((*one.at, "power", "off"), f"is {off}, as on is: on and off couldn't be told apart")
        case CommandPower(on=on, off=off) if on == off:
            yield Mistake((*one.at, "power", "off"), "is the same command as on")
        case RedfishPower(url=url, ca=ca) if ca and not url.startswith("https:"):
            yield Mistake((*one.at, "power", "ca"), "is of no use without https in url")


# --- networks that are booted from -------------------------------------------------------------


def _network(at: KeyPath, network: PxeNetworkTable | None) -> Iterator[Mistake]:
    if not isinstance(network, ServeTable):
        return
    own, first, last = (IPv4Address(text) for text in (network.address, network.first, network.last))
    if last < first:
        yield Mistake((*at, "last"), f"is {last}, which comes before {first}, the first")
    if first <= own <= last:
        yield Mistake((*at, "address"), f"is {own}, which is within first to last: a machine would get it too")


def _same_interface(networks: Mapping[str, PxeNetworkTable | None]) -> Iterator[Mistake]:
    holders: dict[str, str] = {}
    for name, network in networks.items():
        if isinstance(network, ProxyTable) and holders.setdefault(network.interface, name) != name:
            reason = f"is {network.interface}, which is that of [pxe.{holders[network.interface]}] too"
            yield Mistake(("pxe", name, "interface"), f"{reason}: two servers would answer there")


# --- two machines ------------------------------------------------------------------------------


def _clashes(drafts: Sequence[Draft]) -> Iterator[Mistake]:
    for index, later in enumerate(drafts):
        for key, same, reason, harm in _CLASHES:
            first = next((one for one in drafts[:index] if same(one, later)), None)
            if first:
                yield Mistake((*later.at, *key), f"{reason} of host {first.at[-1]} too: each could {harm}")


def _same_door(one: Draft, other: Draft) -> bool:
    return bool(one.ssh and other.ssh and (one.ssh.address, one.ssh.port) == (other.ssh.address, other.ssh.port))


def _same_mac(one: Draft, other: Draft) -> bool:
    return bool(one.pxe and other.pxe and one.pxe.mac == other.pxe.mac)


def _same_console(one: Draft, other: Draft) -> bool:
    # SOL has nothing of its own: it is its BMC's.
    return one.console is not None and one.console == other.console and not isinstance(one.console, SolConsole)


def _same_switch(one: Draft, other: Draft) -> bool:
    match one.power, other.power:
        case SnmpPower() as a, SnmpPower() as b:
            return (a.address, a.port, a.oid) == (b.address, b.port, b.oid)
        case CommandPower() as a, CommandPower() as b:
            return a.off == b.off or a.on == b.on
        case ((IpmiPower() | RedfishPower() as a), (IpmiPower() | RedfishPower() as b)):
            (service, system), (other_service, other_system) = _bmc(a), _bmc(b)
            return service == other_service and (not system or not other_system or system == other_system)
        case _:
            return False


def _bmc(power: IpmiPower | RedfishPower) -> tuple[tuple[str, int], str]:
    """Return where a BMC is (0: the usual port, of either protocol), and which machine of it."""
    if isinstance(power, IpmiPower):
        return (power.address, 0 if power.port == _IPMI_PORT else power.port), ""
    parts = urlsplit(power.url)
    return (parts.hostname or "", 0 if parts.port == _HTTPS_PORT else parts.port or 0), power.system


_Same = Callable[[Draft, Draft], bool]
_CLASHES: tuple[tuple[tuple[str, ...], _Same, str, str], ...] = (
    (("ssh", "address"), _same_door, "is, with the port, that", "boot a kernel on the other"),
    (("pxe", "mac"), _same_mac, "is that", "boot the other's kernel"),
    (("power",), _same_switch, "is that", "switch off the other"),
    (("console",), _same_console, "is that", "take the other's words for its own"),
)
