"""hosts.toml -> Config: every mistake at once, each with its key and line, before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bisectbot.channels import Notices
from bisectbot.config import addresses, hostsfile, rules
from bisectbot.config.check import KeyPath, Mistake, all_at_once, check, check_kind, did_you_mean
from bisectbot.config.hostwords import shown
from bisectbot.config.labhosts import Draft, draft
from bisectbot.config.labtables import PXE_MODES, PxeNetworkTable
from bisectbot.config.notices import notices
from bisectbot.config.tables import BOOT, QemuTable, TopTable
from bisectbot.errors import ConfigError
from bisectbot.lab import BootMethod, Host, LabHost
from bisectbot.model import QemuHost

_TAG = "tag:"


@dataclass(frozen=True)
class StoreLimits:
    """What the kernel store may hold and what of its disk must stay free, in GiB; when logs are packed.

    `max_age_days`: since the last use, of kernels and worktrees.
    """

    max_gib: float
    min_free_gib: float
    max_age_days: float = 60.0
    compress_after_days: float = 14.0


@dataclass(frozen=True)
class Config:
    """What hosts.toml says, checked."""

    file: Path
    hosts: tuple[Host, ...]
    default: str
    store: StoreLimits
    build_seconds: float  # deadline of one build
    jobs: int | None  # of make; None: as many as this machine has CPUs
    notices: Notices = field(default_factory=Notices)

    @property
    def lab_hosts(self) -> tuple[LabHost, ...]:
        """The real machines, in the order of the file."""
        return tuple(host for host in self.hosts if isinstance(host, LabHost))

    @property
    def qemu_hosts(self) -> tuple[QemuHost, ...]:
        """The machines that QEMU plays, in the order of the file."""
        return tuple(host for host in self.hosts if isinstance(host, QemuHost))

    def host(self, name: str | None = None) -> Host:
        """Return a host by its name, "tag:WORD" the first that has that tag, nothing the default one.

        ConfigError if there is none.
        """
        wanted = self.default if name is None else name
        if wanted.startswith(_TAG):
            return self._tagged(wanted.removeprefix(_TAG))
        for host in self.hosts:
            if host.name == wanted:
                return host
        names = [host.name for host in self.hosts]
        raise ConfigError(
            f"no host {shown(wanted)} in {self.file}{did_you_mean(wanted, names)}",
            hint=f"give --host one of: {', '.join(names)}",
        )

    def _tagged(self, tag: str) -> LabHost:
        for host in self.lab_hosts:
            if tag in host.tags:
                return host
        tags = sorted({tag for host in self.lab_hosts for tag in host.tags})
        raise ConfigError(
            f"no host in {self.file} has the tag {shown(tag)}{did_you_mean(tag, tags)}",
            hint=f"give --host {_TAG} one of: {', '.join(tags)}" if tags else "give a host the key tags there",
        )


def tag_of(wanted: str | None) -> str:
    """Return the tag of a --host tag:WORD, else nothing."""
    return wanted.removeprefix(_TAG) if wanted is not None and wanted.startswith(_TAG) else ""


def load(chosen: Path | None = None) -> Config:
    """Read `chosen`, or the hosts.toml in force; ConfigError lists all that is wrong with it."""
    file = chosen or hostsfile.find()
    return parse(hostsfile.text(file), file)


def parse(text: str, file: Path) -> Config:
    """Return the Config that a hosts.toml's text gives; ConfigError lists all that is wrong with it."""
    raw = _toml(text, file)
    mistakes: list[Mistake] = []
    top = check(TopTable, raw, (), mistakes)
    networks = _pxe_tables(raw.get("pxe"), mistakes)
    tables = _host_tables(raw.get("hosts"), mistakes)
    told = notices(raw.get("notices"), mistakes)
    mistakes += _default_mistakes(raw, tables)
    mistakes += rules.broken([table for table in tables.values() if isinstance(table, Draft)], networks)
    if top is None or mistakes:
        raise all_at_once(mistakes, text, file)
    return Config(
        file=file,
        hosts=_hosts(tables, networks, top),
        default=top.default,
        store=StoreLimits(
            top.store.max_gib, top.store.min_free_gib, top.store.max_age_days, top.logs.compress_after_days
        ),
        build_seconds=top.deadlines.build,
        jobs=top.jobs,
        notices=told,
    )


def _toml(text: str, file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise ConfigError(
            f"{file} is not TOML: {error}", hint="correct it there; docs/hosts.md has a whole example"
        ) from error


# Below, None stands for a table that has mistakes, or is none.
_HostTable = QemuTable | Draft


def _host_tables(raw: object, mistakes: list[Mistake]) -> dict[str, _HostTable | None]:
    tables: dict[str, _HostTable | None] = {}
    for name, table in raw.items() if isinstance(raw, dict) else ():
        at = ("hosts", name)
        mistakes += _name_mistakes(at, "host")
        tables[name] = _host_table(table, at, mistakes) if isinstance(table, dict) else None
    return tables


def _host_table(raw: Mapping[str, object], at: KeyPath, mistakes: list[Mistake]) -> _HostTable | None:
    boot = raw.get("boot", "kexec" if "ssh" in raw else "qemu")
    words = boot if isinstance(boot, list) else [boot]
    if boot == "qemu":
        return check(QemuTable, raw, at, mistakes)
    unknown = [word for word in words if word not in [*BootMethod]]
    if words and not unknown:
        return draft(raw, at, mistakes)
    # Which other keys it may have depends on this one, so they can't be judged.
    guess = did_you_mean(unknown[0], ["qemu", *BootMethod]) if unknown else ""
    mistakes.append(Mistake((*at, "boot"), f"is {shown(boot)}{guess}", BOOT))
    return None


def _pxe_tables(raw: object, mistakes: list[Mistake]) -> dict[str, PxeNetworkTable | None]:
    tables: dict[str, PxeNetworkTable | None] = {}
    for name, table in raw.items() if isinstance(raw, dict) else ():
        at = ("pxe", name)
        mistakes += _name_mistakes(at, "network")
        tables[name] = check_kind(PXE_MODES, table, "mode", at, mistakes) if isinstance(table, dict) else None
    return tables


def _name_mistakes(at: tuple[str, str], what: str) -> list[Mistake]:
    try:
        addresses.name(at[-1])
    except ValueError:
        return [Mistake(at, f"a {what} can't have this name", addresses.NAME)]
    return []


def _default_mistakes(raw: Mapping[str, object], tables: Mapping[str, object]) -> list[Mistake]:
    default = raw.get("default")
    if not isinstance(default, str) or default in tables or not tables:
        return []  # told already, or nothing to name
    reason = f"is {shown(default)}, and there is no such host{did_you_mean(default, [*tables])}"
    return [Mistake(("default",), reason, ", ".join(shown(name) for name in tables))]


def _hosts(
    tables: Mapping[str, _HostTable | None], networks: Mapping[str, PxeNetworkTable | None], top: TopTable
) -> tuple[Host, ...]:
    made = {name: table.network(name) for name, table in networks.items() if table}
    hosts: list[Host] = []
    for name, table in tables.items():
        if isinstance(table, QemuTable):
            hosts.append(table.host(name, top.deadlines))
        elif table:
            hosts.append(table.host(name, top.deadlines, made))
    return tuple(hosts)
