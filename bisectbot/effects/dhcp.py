"""Whether this machine already answers DHCP on an interface: dnsmasq itself would start beside another one."""

from __future__ import annotations

import errno
import socket

from bisectbot.errors import os_fault

_BOOTPS = 67


def dhcp_answered(interface: str) -> bool:
    """Whether some program of this machine has the DHCP port of an interface; False too if there is no such interface.

    InfraError if it can't be found out, mostly for want of rights.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            asking.bind(("", _BOOTPS))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.ENODEV):
                return error.errno == errno.EADDRINUSE
            raise os_fault(error) from error
    return False
