"""[hosts.NAME] of a real machine, table by table, so that a mistake in one hides none in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from bisectbot.config.check import KeyPath, Mistake, check, check_kind
from bisectbot.config.labkinds import CONSOLE_KINDS, POWER_KINDS
from bisectbot.config.labtables import LabTable, NetworkTable, PxeTable, SshTable
from bisectbot.config.tables import AllDeadlineTable
from bisectbot.lab import ConsoleLine, LabHost, Network, PowerSwitch, Pxe, PxeNetwork, Ssh

_T = TypeVar("_T", bound=BaseModel)


@dataclass(frozen=True)
class Draft:
    """A real machine as far as its tables could be read; None stands for a table that isn't there or has mistakes."""

    at: KeyPath
    raw: Mapping[str, object]
    table: LabTable | None
    ssh: Ssh | None
    power: PowerSwitch | None
    console: ConsoleLine | None
    network: Network | None
    pxe: PxeTable | None

    def host(self, name: str, common: AllDeadlineTable, networks: Mapping[str, PxeNetwork]) -> LabHost:
        """Return the host; ValueError unless it is one without mistakes."""
        table = self.table
        if table is None or self.ssh is None:
            raise ValueError("a draft with mistakes is no host")
        return LabHost(
            name=name,
            arch=table.arch,
            ssh=self.ssh,
            boots=table.boot,
            tags=table.tags,
            payload=table.payload,
            marker=table.marker,
            folder=table.folder,
            tty=table.tty,
            cmdline=table.cmdline,
            make_initramfs=table.make_initramfs,
            power=self.power,
            console=self.console,
            network=self.network,
            pxe=Pxe(networks[self.pxe.network], self.pxe.mac) if self.pxe else None,
            deadlines=common.with_own(table.deadlines),
            patiences=table.deadlines.patiences(),
        )


def draft(raw: Mapping[str, object], at: KeyPath, mistakes: list[Mistake]) -> Draft:
    """Check every table of a real machine."""

    def part(key: str, table: type[_T]) -> _T | None:
        inner = raw.get(key)
        return check(table, inner, (*at, key), mistakes) if isinstance(inner, dict) else None

    def kind(key: str, kinds: Mapping[str, type[_T]]) -> _T | None:
        inner = raw.get(key)
        return check_kind(kinds, inner, "kind", (*at, key), mistakes) if isinstance(inner, dict) else None

    table = check(LabTable, raw, at, mistakes)
    ssh, network = part("ssh", SshTable), part("network", NetworkTable)
    power, console = kind("power", POWER_KINDS), kind("console", CONSOLE_KINDS)
    return Draft(
        at=at,
        raw=raw,
        table=table,
        ssh=ssh.ssh() if ssh else None,
        power=power.switch() if power else None,
        console=console.line() if console else None,
        network=network.network() if network else None,
        pxe=part("pxe", PxeTable),
    )
