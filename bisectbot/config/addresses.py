"""What names and addresses of hosts.toml may be: they become arguments of other programs, and words of a kernel."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, ip_address
from urllib.parse import urlsplit

from bisectbot.config.hostwords import plain, shown

ADDRESS = "a host name or an IP address (IPv6 without brackets)"
IPV4 = "an IPv4 address"
IP_WORD = '"dhcp", or as the kernel\'s ip= takes it: "10.0.0.7::10.0.0.1:255.255.255.0::eth0:off"'
MAC = "six bytes in hexadecimal, such as 52:54:00:12:34:56"
NAME = "letters, digits, '.', '_', '-', at most 64"
USER = "a user name, printable ASCII without spaces"
OID = "digits and dots, such as 1.3.6.1.4.1.318.1.1.4.4.2.1.3.7"
SERVICE = 'the address of a service, such as "https://bmc7.lab"'
URL = 'an http:// or https:// address, such as "http://10.0.0.1/tftp"'
SYSTEM = "a path or an identity, such as /redfish/v1/Systems/1"
TTY = 'a serial port, such as "ttyS1,115200"'
INTERFACE = "the name of a network interface"

_IP_PARTS = 10  # client:server:gateway:mask:name:device:auto, then two name servers and a time server
_IP_CHARACTERS = re.compile(r"[0-9A-Za-z.:%_-]+")
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_OID = re.compile(r"\.?([0-9]{1,10}(\.[0-9]{1,10})+)")
_TTY = re.compile(r"[A-Za-z]{2,12}[0-9]{1,3}(,[0-9]{3,7}([noe]([5-8]r?)?)?)?")
_SCREEN = re.compile(r"tty[0-9]+(,.*)?")
_URL_PATH = re.compile(r"[A-Za-z0-9._~/%-]*")
_SYSTEM = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9._~/:@-]{0,199}")


def name(text: str) -> str:
    """Return the name of a host, a tag or a network as it is."""
    return _matching(_NAME, text)


def user(text: str) -> str:
    """Return a user name as it is; it becomes an argument."""
    if text.startswith("-"):
        raise ValueError(f"is {shown(text)}, which a program would read as an option")
    return plain(text)


def address(text: str) -> str:
    """Return a host name in lower case or an IP address in its usual form."""
    if (ip := _ip(text)) is not None:
        return ip
    # A name whose last part is a number isn't one: it is an IPv4 address with a mistake in it.
    if not _HOST_NAME.fullmatch(text) or text.rpartition(".")[2].isdigit():
        raise ValueError(f"is {shown(text)}")
    return text.lower()


def _ip(text: str) -> str | None:
    # What may follow the % of an IPv6 address isn't looked at by ip_address().
    if not _IP_CHARACTERS.fullmatch(text):
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def ipv4(text: str) -> str:
    """Return an IPv4 address as it is: no name is looked up where it is used."""
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        raise ValueError(f"is {shown(text)}") from None


def ip_word(text: str) -> str:
    """Return what the kernel's ip= takes as it is (Documentation/admin-guide/nfs/nfsroot.rst)."""
    if text == "dhcp":
        return text
    parts = plain(text).split(":")
    client, server, gateway, mask, own_name, device, auto = (*parts, *[""] * 7)[:7]
    for number in filter(None, (client, server, gateway, mask, *parts[7:])):
        ipv4(number)
    if len(parts) > _IP_PARTS or not (client or auto == "dhcp") or auto not in ("", "off", "none", "dhcp"):
        raise ValueError(f"is {shown(text)}")
    if own_name:
        name(own_name)
    if device:
        interface(device)
    return text


def interface(text: str) -> str:
    """Return the name of a network interface as it is."""
    return _matching(_INTERFACE, text)


def mac(text: str) -> str:
    """Return a MAC address in lower case with colons."""
    return _matching(_MAC, text.lower().replace("-", ":"))


def oid(text: str) -> str:
    """Return an SNMP object identifier without a leading dot."""
    match = _OID.fullmatch(text)
    if not match:
        raise ValueError(f"is {shown(text)}")
    return match[1]


def tty(text: str) -> str:
    """Return a serial port, as console= takes it, as it is."""
    if _SCREEN.fullmatch(text):
        raise ValueError(f"is {shown(text)}, a screen: nothing could be read from it")
    return _matching(_TTY, text)


def system(text: str) -> str:
    """Return the path or identity of a Redfish system as it is."""
    if ".." in text:
        raise ValueError(f"is {shown(text)}")
    return _matching(_SYSTEM, text)


def service(text: str) -> str:
    """Return the URL of a service, which has no path, without a slash at its end."""
    whole = url(text)
    if urlsplit(whole).path:
        raise ValueError(f"is {shown(text)}, which has a path")
    return whole


def url(text: str) -> str:
    """Return an http or https URL without a slash at its end."""
    if "@" in text:  # not shown: it may hold a password
        raise ValueError("holds a user name or a password, which don't belong into a URL")
    if not plain(text).startswith(("http://", "https://")) or not _split(text):
        raise ValueError(f"is {shown(text)}")
    return text.rstrip("/")


def _split(text: str) -> bool:
    """Return whether what follows the scheme is an address, perhaps a port, and a plain path."""
    try:
        parts = urlsplit(text)
        address(parts.hostname or "")
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return port_fits and "?" not in text and "#" not in text and bool(_URL_PATH.fullmatch(parts.path))


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"is {shown(text)}")
    return text
