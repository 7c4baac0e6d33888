"""What may stand in hosts.toml about a real machine: one class a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bisectbot.config import addresses, hostwords, labwords
from bisectbot.config.fields import Address, Interface, Ipv4, LocalPathOrNone, Mac, Name, Part, Port, PortOrAny, User
from bisectbot.config.tables import BOOT, DeadlineTable, Seconds, Table
from bisectbot.lab import FOLDER, MARKER, BootMethod, Network, Patiences, Payload, PxeMode, PxeNetwork, Ssh
from bisectbot.model import Arch

RawTable = dict[str, object]


class SshTable(Part):
    """[hosts.NAME.ssh]."""

    address: Address
    port: Port = Ssh.port
    user: User = Ssh.user
    key: LocalPathOrNone = None
    host_keys: Annotated[
        tuple[Annotated[str, AfterValidator(labwords.host_key)], ...],
        AfterValidator(labwords.at_least_one),
        Field(description=labwords.HOST_KEY),
    ]

    def ssh(self) -> Ssh:
        """Return what this table describes."""
        return Ssh(**self.values())


# --- networks ----------------------------------------------------------------------------------


class NetworkTable(Part):
    """[hosts.NAME.network]."""

    ip: Annotated[str, AfterValidator(addresses.ip_word), Field(description=addresses.IP_WORD)]
    address: Ipv4
    port: PortOrAny = Network.port
    listen: Ipv4 = Network.listen

    def network(self) -> Network:
        """Return what this table describes."""
        return Network(**self.values())


class PxeTable(Table):
    """[hosts.NAME.pxe]."""

    network: Annotated[str, Field(description="the name of a [pxe.NAME]")]
    mac: Mac


class PxeNetworkTable(Part):
    """[pxe.NAME]; every mode is a class below."""

    mode: Annotated[PxeMode, Field(description=", ".join(PxeMode))]

    def network(self, name: str) -> PxeNetwork:
        """Return what this table describes."""
        return PxeNetwork(name=name, mode=self.mode, **self.values())


class ProxyTable(PxeNetworkTable):
    """With mode = "proxy"."""

    interface: Interface
    address: Ipv4
    http_port: Port = PxeNetwork.http_port


class ServeTable(ProxyTable):
    """With mode = "serve"."""

    first: Ipv4
    last: Ipv4


class FolderTable(PxeNetworkTable):
    """With mode = "folder"."""

    folder: Annotated[Path, BeforeValidator(labwords.folder), Field(description=labwords.FOLDER)]
    url: Annotated[str, AfterValidator(addresses.url), Field(description=addresses.URL)] = PxeNetwork.url


PXE_MODES: dict[str, type[PxeNetworkTable]] = {
    PxeMode.SERVE: ServeTable,
    PxeMode.PROXY: ProxyTable,
    PxeMode.FOLDER: FolderTable,
}


# --- the host itself ---------------------------------------------------------------------------


class LabDeadlineTable(DeadlineTable):
    """[hosts.NAME.deadlines]: those of every host, and what a real machine may take besides."""

    ssh: Seconds = Patiences.ssh
    upload: Seconds = Patiences.upload
    load: Seconds = Patiences.load
    home: Seconds = Patiences.home
    power: Seconds = Patiences.power
    rest: Seconds = Patiences.rest

    def patiences(self) -> Patiences:
        """Return those that only a real machine has."""
        return Patiences(**self.model_dump(exclude={*DeadlineTable.model_fields}))


class LabTable(Table):
    """[hosts.NAME] of a real machine; the tables in it are looked at one by one."""

    boot: Annotated[
        tuple[BootMethod, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        AfterValidator(labwords.each_once),
        Field(description=BOOT),
    ]
    arch: Annotated[Arch, Field(description=", ".join(Arch))]
    tags: Annotated[tuple[Name, ...], Field(description="a list of words")] = ()
    payload: Annotated[Payload, Field(description=", ".join(Payload))] = Payload.INITRAMFS
    marker: Annotated[str, AfterValidator(labwords.remote_file), Field(description=labwords.REMOTE_PATH)] = MARKER
    folder: Annotated[str, AfterValidator(labwords.remote_folder), Field(description=labwords.FOLDER)] = FOLDER
    tty: Annotated[str, AfterValidator(addresses.tty), Field(description=addresses.TTY)] = ""
    cmdline: Annotated[
        tuple[Annotated[str, AfterValidator(hostwords.lab_kernel_word)], ...],
        AfterValidator(hostwords.kernel_words),
        Field(description=hostwords.LAB_KERNEL_WORD),
    ] = ()
    make_initramfs: Annotated[
        tuple[str, ...], AfterValidator(labwords.initramfs_command), Field(description=labwords.INITRAMFS_COMMAND)
    ] = ()
    deadlines: Annotated[LabDeadlineTable, Field(description="a table")] = LabDeadlineTable()
    ssh: Annotated[RawTable, Field(description="a table")]
    power: Annotated[RawTable | None, Field(description="a table")] = None
    console: Annotated[RawTable | None, Field(description="a table")] = None
    network: Annotated[RawTable | None, Field(description="a table")] = None
    pxe: Annotated[RawTable | None, Field(description="a table")] = None
