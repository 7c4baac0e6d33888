"""The nouns of a lab: real machines, how they are reached, switched, listened to and booted; secrets by reference."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from bisectbot.model import Arch, Deadlines, QemuHost

MARKER = "/etc/bisectbot-host"
FOLDER = "/var/lib/bisectbot"
# On every candidate's command line. Distributions build kernels that show errors only, and a warning is evidence too; a
# panic restarts the machine, after the report had time to come out. A host's own words come later and win.
CANDIDATE_WORDS = ("loglevel=7", "panic=10")
BY_ITSELF = "by itself"  # how a machine comes home after a boot like any other


@dataclass(frozen=True)
class Secret:
    """Where a password is, never the password itself: an environment variable or the first line of a file."""

    env: str = ""
    file: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.env) == (self.file is not None):
            raise ValueError("a secret is in an environment variable or in a file: give exactly one of the two")

    def __str__(self) -> str:
        return f"${self.env}" if self.env else str(self.file)


# --- how it is reached -------------------------------------------------------------------------


@dataclass(frozen=True)
class Ssh:
    """The SSH server of a machine's known-good system."""

    address: str
    host_keys: tuple[str, ...]  # "ssh-ed25519 AAAA...": only a server that holds one of these is talked to
    port: int = 22
    user: str = "root"
    key: Path | None = None  # the private key; None: the agent's


# --- how it is switched ------------------------------------------------------------------------


@dataclass(frozen=True)
class IpmiPower:
    """A BMC, through ipmitool -I lanplus."""

    address: str
    user: str
    password: Secret
    port: int = 623
    cipher: int = 17  # cipher suite; 3 on BMCs from before about 2018


@dataclass(frozen=True)
class RedfishPower:
    """A BMC, over HTTP."""

    url: str  # "https://bmc7.lab", without a path
    user: str
    password: Secret
    system: str = ""  # path or identity; empty: the only one that the service has
    ca: Path | None = None  # the certificate that the server's must be signed with; None: the system's own


@dataclass(frozen=True)
class SnmpPower:
    """An outlet of a PDU, through net-snmp's tools."""

    address: str
    oid: str  # of this outlet; APC's rPDU: 1.3.6.1.4.1.318.1.1.4.4.2.1.3.N
    community: Secret
    port: int = 161
    version: str = "1"  # or "2c"
    on: int = 1  # values of the OID, when written and when read
    off: int = 2


@dataclass(frozen=True)
class CommandPower:
    """Any programs: exit code 0 is done; `status` prints a line that holds the word on or off."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    cycle: tuple[str, ...] = ()  # empty: off, wait, on
    status: tuple[str, ...] = ()  # empty: acts can't be confirmed but by the machine itself


PowerSwitch = IpmiPower | RedfishPower | SnmpPower | CommandPower


# --- how it is listened to ---------------------------------------------------------------------


@dataclass(frozen=True)
class SolConsole:
    """Serial over LAN of the BMC that `power` names (kind ipmi)."""


@dataclass(frozen=True)
class TcpConsole:
    """A port that sends a serial line's bytes: ser2net, a terminal server; telnet negotiation is taken out."""

    address: str
    port: int


@dataclass(frozen=True)
class CommandConsole:
    """Any program that prints the console: `console -f NAME` of conserver, a vendor's tool."""

    command: tuple[str, ...]


@dataclass(frozen=True)
class NetConsole:
    """The kernel's own netconsole, sent by UDP to this machine."""

    address: str  # of this machine, as the test machine reaches it
    port: int = 6666


@dataclass(frozen=True)
class FileConsole:
    """A file that something else appends the console to."""

    path: Path


ConsoleLine = SolConsole | TcpConsole | CommandConsole | NetConsole | FileConsole


# --- how a candidate gets onto it --------------------------------------------------------------


class Payload(StrEnum):
    """What a candidate runs with."""

    INITRAMFS = "initramfs"  # our init and the reproducer, nothing else; no disk is touched
    HOST = "host"  # the machine's own root file system; the reproducer is started over SSH


class BootMethod(StrEnum):
    """How a candidate is started on a real machine."""

    KEXEC = "kexec"
    PXE = "pxe"


class PxeMode(StrEnum):
    """Who answers when the machine's firmware asks the network for something to boot."""

    SERVE = "serve"  # our own DHCP, TFTP and HTTP, on a network of its own
    PROXY = "proxy"  # our TFTP and HTTP beside the DHCP server that is there
    FOLDER = "folder"  # a TFTP (or HTTP) root that somebody else serves: files are only written there


@dataclass(frozen=True)
class PxeNetwork:
    """A network that machines boot from; [pxe.NAME] in hosts.toml."""

    name: str
    mode: PxeMode
    interface: str = ""  # serve, proxy: where to answer, and nowhere else
    address: str = ""  # serve, proxy: this machine's own address there
    first: str = ""  # serve: the range of addresses that is given out
    last: str = ""
    http_port: int = 8080
    folder: Path | None = None  # folder: the root that is served
    url: str = ""  # folder: what that root is called over HTTP; empty: TFTP only


@dataclass(frozen=True)
class Pxe:
    """How one machine boots from the network."""

    network: PxeNetwork
    mac: str  # lower case, with colons


@dataclass(frozen=True)
class Network:
    """The network of a candidate with our initramfs, for a machine that has no console (or besides one)."""

    ip: str  # the kernel's own ip= word: "dhcp" or "10.0.0.7::10.0.0.1:255.255.255.0::eth0:off"
    address: str  # of this machine, as the candidate reaches it
    port: int = 0  # 0: any free one
    listen: str = ""  # where to listen, if `address` isn't this machine's own (a router stands between)


@dataclass(frozen=True)
class Patiences:
    """Seconds that a real machine may take for what isn't the candidate's business."""

    ssh: float = 20.0  # one connection, and one short command
    upload: float = 300.0  # a kernel and its files
    load: float = 60.0  # kexec -l; making an initramfs of its own takes `upload`
    home: float = 300.0  # firmware, boot loader and the known-good system until SSH answers
    power: float = 30.0  # until the power is what was asked for
    rest: float = 10.0  # without power, before it is switched on again


@dataclass(frozen=True)
class LabHost:
    """A real test machine. hosts.toml describes it; config/ checks every field."""

    name: str
    arch: Arch
    ssh: Ssh
    boots: tuple[BootMethod, ...]  # in order of preference
    tags: tuple[str, ...] = ()
    payload: Payload = Payload.INITRAMFS
    marker: str = MARKER  # must exist there; a name in it must be this host's
    folder: str = FOLDER  # ours on the host: uploads and its lock
    tty: str = ""  # what console= gets, "ttyS1,115200"; empty: the architecture's usual one
    cmdline: tuple[str, ...] = ()  # kernel command line, before ours
    make_initramfs: tuple[str, ...] = ()  # payload host: its command, {release} and {output} filled in; empty: found
    power: PowerSwitch | None = None
    console: ConsoleLine | None = None
    network: Network | None = None
    pxe: Pxe | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    patiences: Patiences = field(default_factory=Patiences)


Host = QemuHost | LabHost


@dataclass(frozen=True)
class Homed:
    """A real machine is back in its known-good system, and how it got there."""

    host: str
    how: str
    seconds: float
    tried: tuple[str, ...] = ()  # what earlier rungs of the ladder came to
    crash_log: Path | None = None  # what the machine had kept of the crash (pstore)

    @property
    def by_itself(self) -> bool:
        """Whether nothing had to be done to it."""
        return self.how == BY_ITSELF


@dataclass(frozen=True)
class Owner:
    """Who works on a host: one process of one machine."""

    machine: str  # its name, for people
    machine_id: str  # /etc/machine-id
    boot_id: str
    pid: int
    started: int  # of the process, in the kernel's ticks since boot: pids are given again

    def __str__(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))
