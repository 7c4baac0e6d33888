"""The command line of our dnsmasq: who gets an answer, on which interface, and what its firmware is to load."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bisectbot.errors import ConfigError
from bisectbot.lab import PxeMode, PxeNetwork
from bisectbot.netboot.scripts import dashed

LOADERS = Path("/usr/lib/ipxe")  # of Debian's package ipxe
UP = "TFTP root is "  # the last thing that dnsmasq says before it serves

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")


@dataclass(frozen=True)
class Firmware:
    """A kind of firmware: its names in dnsmasq, its numbers in DHCP (option 93), and the iPXE that it can run."""

    service: str
    numbers: tuple[int, ...]
    loader: str


# snponly.efi and not ipxe.efi: it uses the firmware's own driver, is there five seconds sooner, and hands back to the
# firmware on `exit`, where ipxe.efi of Debian 12 hangs (seen with OVMF).
_FIRMWARE = (
    Firmware("x86PC", (0,), "undionly.kpxe"),
    Firmware("X86-64_EFI", (9,), "snponly.efi"),
    Firmware("BC_EFI", (7,), "snponly.efi"),
    Firmware("ARM64_EFI", (11,), "snponly-arm64.efi"),
)


def firmware(loaders: Path) -> tuple[Firmware, ...]:
    """Return the kinds that there is a loader for."""
    return tuple(row for row in _FIRMWARE if (loaders / row.loader).is_file())


def arguments(network: PxeNetwork, machines: Mapping[str, str], rows: Sequence[Firmware], leases: Path) -> list[str]:
    """Return what dnsmasq is started with. `machines`: MAC address -> its own address, or "" for any of the range.

    A machine that isn't listed gets no answer at all. ConfigError for an address or a name that is none.
    """
    tags = {mac: f"m{number}" for number, mac in enumerate(machines)}
    address = _address(network.address)
    known = [f"--dhcp-host={_host(mac, tags[mac], machines[mac], network.mode)}" for mac in machines]
    return [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--log-facility=-",
        "--log-dhcp",
        "--port=0",  # no DNS
        f"--interface={_interface(network.interface)}",
        "--except-interface=lo",
        "--bind-interfaces",
        *known,
        "--dhcp-ignore=tag:!known",
        "--dhcp-match=set:ipxe,175",
        "--enable-tftp",
        f"--tftp-root={LOADERS}",
        *(_serve(network, leases) if network.mode is PxeMode.SERVE else _proxy(network)),
        *_loaders(network.mode, rows),
        # With the server's address, which the URL holds too: iPXE throws a proxy's answer away without it.
        *(f"--dhcp-boot=tag:ipxe,tag:{tag},{script_url(network, mac)},,{address}" for mac, tag in tags.items()),
    ]


def script_url(network: PxeNetwork, mac: str) -> str:
    """Return where a machine's own script is."""
    return f"{base_url(network)}/boot/{dashed(mac)}.ipxe"


def base_url(network: PxeNetwork) -> str:
    """Return the beginning of every URL that we serve."""
    return f"http://{_address(network.address)}:{network.http_port:d}"


def _serve(network: PxeNetwork, leases: Path) -> list[str]:
    return [
        # Only listed machines get one, so leases needn't end: a machine keeps its address while no bot is there.
        f"--dhcp-range={_address(network.first)},{_address(network.last)},infinite",
        f"--dhcp-leasefile={leases}",
        "--dhcp-authoritative",
        "--no-ping",
        "--dhcp-option=3",  # no default route: this network leads nowhere
        "--dhcp-option=encap:175,176,1b",  # iPXE: there is no proxy to wait 3 s for
        # iPXE waits 13 s for an IPv6 router. One is announced if the interface has a prefix: lifetime 0, no gateway.
        "--enable-ra",
        f"--dhcp-range=::,constructor:{network.interface},ra-only",
        f"--ra-param={network.interface},4,0",
    ]


def _proxy(network: PxeNetwork) -> list[str]:
    return [f"--dhcp-range={_address(network.address)},proxy", "--pxe-prompt=tag:!ipxe,bisectbot,0"]


def _loaders(mode: PxeMode, rows: Sequence[Firmware]) -> list[str]:
    if mode is PxeMode.PROXY:
        return [f"--pxe-service=tag:!ipxe,{row.service},bisectbot,{row.loader}" for row in rows]
    numbered = [(number, row) for row in rows for number in row.numbers]
    return [
        *(f"--dhcp-match=set:arch{number},option:client-arch,{number}" for number, _ in numbered),
        *(f"--dhcp-boot=tag:!ipxe,tag:arch{number},{row.loader}" for number, row in numbered),
    ]


def _host(mac: str, tag: str, address: str, mode: PxeMode) -> str:
    dashed(mac)
    pinned = f",{_address(address)}" if address and mode is PxeMode.SERVE else ""
    return f"{mac},set:{tag}{pinned}"


def _interface(name: str) -> str:
    if not _INTERFACE.fullmatch(name) or name == "lo":
        raise ConfigError(f"{name!r} is no network interface that machines could boot from")
    return name


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no IPv4 address") from error
