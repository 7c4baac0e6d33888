"""Puts together what machines boot from the network with, in whichever mode the network has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from bisectbot.lab import LabHost, PxeMode, PxeNetwork
from bisectbot.netboot.folder import Folder
from bisectbot.netboot.serving import Serving, Tools
from bisectbot.reach import Netboot


def netboot(network: PxeNetwork, hosts: Iterable[LabHost], tools: Tools, folder: Path) -> Netboot:
    """Return what the hosts on `network` boot with; nothing is started. `folder`: where our own servers keep things.

    Whoever wants the machines to find us between jobs too (a lease, a quick way to their disks) stays in its idle().
    """
    if network.mode is PxeMode.FOLDER:
        return Folder(network, machines(network, hosts), tools.lock)
    return Serving(network, machines(network, hosts), tools, folder)


def machines(network: PxeNetwork, hosts: Iterable[LabHost]) -> dict[str, str]:
    """Return the machines of a network: MAC address -> the address that it is to get, or "" for any."""
    own = {host.pxe.mac: _own(host) for host in hosts if host.pxe and host.pxe.network.name == network.name}
    shared = Counter(own.values())  # several machines behind one address: it is none of theirs here
    return {mac: address if shared[address] == 1 else "" for mac, address in own.items()}


def _own(host: LabHost) -> str:
    """Return the address that the machine is to get: the one it is reached at, where that is no name."""
    try:
        address = IPv4Address(host.ssh.address)
    except ValueError:
        return ""
    return "" if address.is_loopback else str(address)
