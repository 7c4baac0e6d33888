"""hosts.toml -> Config: every mistake at once, each with its key and line, before anything starts."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from bisectbot.arch import traits
from bisectbot.config import hostsfile, hostwords
from bisectbot.config.hostwords import shown
from bisectbot.config.tomlmap import key_lines, line_of
from bisectbot.errors import ConfigError
from bisectbot.model import Accel, Arch, Deadlines, Host, QemuHost

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ALIASES = {"arm64": "aarch64", "amd64": "x86_64", "x86-64": "x86_64"}

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class StoreLimits:
    """How much the kernel store may hold, and how much of its disk must stay free, in GiB."""

    max_gib: float
    min_free_gib: float


@dataclass(frozen=True)
class Config:
    """What hosts.toml says, checked."""

    file: Path
    hosts: tuple[Host, ...]
    default: str
    store: StoreLimits
    build_seconds: float  # deadline of one build
    jobs: int | None  # of make; None: as many as this machine has CPUs

    def host(self, name: str | None = None) -> Host:
        """Return a host by its name, the default one without; ConfigError if there is none of that name."""
        wanted = self.default if name is None else name
        for host in self.hosts:
            if host.name == wanted:
                return host
        names = [host.name for host in self.hosts]
        raise ConfigError(
            f"no host {shown(wanted)} in {self.file}{_did_you_mean(wanted, names)}",
            hint=f"give --host one of: {', '.join(names)}",
        )


@dataclass(frozen=True)
class Mistake:
    """One thing in hosts.toml that can't be worked with."""

    key: KeyPath
    reason: str
    accepted: str = ""

    def __str__(self) -> str:
        key = "".join(_written(part) for part in self.key).removeprefix(".")
        return f"{key}: {self.reason}" + (f"; accepted: {self.accepted}" if self.accepted else "")


def load(chosen: Path | None = None) -> Config:
    """Read `chosen`, or the hosts.toml in force; ConfigError lists all that is wrong with it."""
    file = chosen or hostsfile.find()
    return parse(hostsfile.text(file), file)


# --- what may stand in it ----------------------------------------------------------------------


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_WEEK = 7 * 24 * 3600
_Seconds = Annotated[float, Field(strict=True, gt=0, le=_WEEK, description="seconds, above 0 and at most 604800")]
_Gib = Annotated[float, Field(strict=True, ge=0, le=1 << 20, description="GiB, 0 to 1048576")]
_Plain = Annotated[str, AfterValidator(hostwords.plain)]


class _Deadlines(_Table):
    boot: _Seconds = Deadlines.boot
    silence: _Seconds = Deadlines.silence
    heartbeat: _Seconds = Deadlines.heartbeat
    run: _Seconds = Deadlines.run


class _AllDeadlines(_Deadlines):
    build: _Seconds = 7200.0

    def with_own(self, own: _Deadlines) -> Deadlines:
        """Return a host's deadlines: what it sets itself, else what is set for all."""
        return Deadlines(**(self.model_dump(exclude={"build"}) | own.model_dump(exclude_unset=True)))


class _Store(_Table):
    max_gib: _Gib = 20.0
    min_free_gib: _Gib = 2.0


class _Top(_Table):
    default: Annotated[str, Field(description="the name of a host in this file")]
    jobs: Annotated[int | None, Field(strict=True, ge=1, le=4096, description="an integer, 1 to 4096")] = None
    store: Annotated[_Store, Field(description="a table")] = _Store()
    deadlines: Annotated[_AllDeadlines, Field(description="a table")] = _AllDeadlines()
    hosts: Annotated[dict[str, dict[str, object]], Field(min_length=1, description="one table [hosts.NAME] a host")]


class _QemuTable(_Table):
    boot: Annotated[Literal["qemu"], Field(description='"qemu"')]
    arch: Annotated[Arch, Field(description=", ".join(Arch))]
    cpus: Annotated[int, Field(strict=True, ge=1, le=255, description="an integer, 1 to 255")] = QemuHost.cpus
    memory: Annotated[int, BeforeValidator(hostwords.memory_mib), Field(description=hostwords.MEMORY)] = (
        QemuHost.memory_mib
    )
    cpu: Annotated[_Plain | None, Field(description=hostwords.PLAIN)] = None
    machine: Annotated[_Plain | None, Field(description=hostwords.PLAIN)] = None
    accel: Annotated[Accel, Field(description=", ".join(Accel))] = QemuHost.accel
    qemu_args: Annotated[
        tuple[Annotated[str, AfterValidator(hostwords.qemu_arg)], ...], Field(description=hostwords.QEMU_ARG)
    ] = ()
    cmdline: Annotated[
        tuple[Annotated[str, AfterValidator(hostwords.kernel_word)], ...],
        AfterValidator(hostwords.kernel_words),
        Field(description=hostwords.KERNEL_WORD),
    ] = ()
    deadlines: Annotated[_Deadlines, Field(description="a table")] = _Deadlines()

    def host(self, name: str, common: _AllDeadlines) -> Host:
        row = traits(self.arch)
        return QemuHost(
            name=name,
            arch=self.arch,
            cpus=self.cpus,
            memory_mib=self.memory,
            cpu=self.cpu or row.cpu,
            machine=self.machine or row.machine,
            accel=self.accel,
            qemu_args=self.qemu_args,
            cmdline=self.cmdline,
            deadlines=common.with_own(self.deadlines),
        )


# `boot` says which table a host has. Machines that are booted in another way (kexec, PXE) get a class and a row.
_TABLES: dict[str, type[_QemuTable]] = {"qemu": _QemuTable}


# --- checking ----------------------------------------------------------------------------------

_T = TypeVar("_T", bound=BaseModel)


def parse(text: str, file: Path) -> Config:
    """Return the Config that a hosts.toml's text gives; ConfigError lists all that is wrong with it."""
    raw = _toml(text, file)
    mistakes: list[Mistake] = []
    top = _check(_Top, raw, (), mistakes)
    tables = _host_tables(raw.get("hosts"), mistakes)
    mistakes += _default_mistakes(raw, tables)
    if top is None or mistakes:
        raise _all_at_once(mistakes, text, file)
    return Config(
        file=file,
        hosts=tuple(table.host(name, top.deadlines) for name, table in tables.items() if table),
        default=top.default,
        store=StoreLimits(top.store.max_gib, top.store.min_free_gib),
        build_seconds=top.deadlines.build,
        jobs=top.jobs,
    )


def _toml(text: str, file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise ConfigError(
            f"{file} is not TOML: {error}", hint="correct it there; docs/hosts.md has a whole example"
        ) from error


def _check(table: type[_T], raw: object, at: KeyPath, mistakes: list[Mistake]) -> _T | None:
    try:
        return table.model_validate(raw)
    except ValidationError as error:
        mistakes += [_mistake(table, details, at) for details in error.errors()]
        return None


def _host_tables(raw: object, mistakes: list[Mistake]) -> dict[str, _QemuTable | None]:
    """Check each host; None stands for one that has mistakes."""
    tables: dict[str, _QemuTable | None] = {}
    for name, table in raw.items() if isinstance(raw, dict) else ():
        at = ("hosts", name)
        if not _HOST_NAME.fullmatch(name):
            mistakes.append(Mistake(at, "a host can't have this name", "letters, digits, '.', '_', '-', at most 64"))
        tables[name] = _host_table(table, at, mistakes) if isinstance(table, dict) else None
    return tables


def _host_table(raw: Mapping[str, object], at: KeyPath, mistakes: list[Mistake]) -> _QemuTable | None:
    boot = raw.get("boot", "qemu")
    if isinstance(boot, str) and boot in _TABLES:
        return _check(_TABLES[boot], raw, at, mistakes)
    # Which other keys it may have depends on this one, so they can't be judged.
    mistakes.append(Mistake((*at, "boot"), f"is {shown(boot)}{_did_you_mean(boot, [*_TABLES])}", '"qemu"'))
    return None


def _default_mistakes(raw: Mapping[str, object], tables: Mapping[str, object]) -> list[Mistake]:
    default = raw.get("default")
    if not isinstance(default, str) or default in tables or not tables:
        return []  # told already, or nothing to name
    reason = f"is {shown(default)}, and there is no such host{_did_you_mean(default, [*tables])}"
    return [Mistake(("default",), reason, ", ".join(shown(name) for name in tables))]


def _mistake(table: type[BaseModel], details: ErrorDetails, at: KeyPath) -> Mistake:
    key = at + details["loc"]
    siblings, accepted = _described(table, details["loc"])
    value, kind = details["input"], details["type"]
    match kind:
        case "missing":
            return Mistake(key, "is missing", accepted)
        case "extra_forbidden":
            return Mistake(key, f"no such key{_did_you_mean(key[-1], siblings)}", ", ".join(siblings))
        case "value_error":
            return Mistake(key, str(details["ctx"]["error"]), accepted)
        case _:
            guess = _did_you_mean(value, accepted.split(", ")) if kind == "enum" else ""
            return Mistake(key, f"is {_with_kind(value)}{guess}", accepted)


def _described(table: type[BaseModel], loc: KeyPath) -> tuple[list[str], str]:
    """Return the keys of the table that a location is in, and what its own key accepts."""
    name, rest = str(loc[0]), loc[1:]
    field = table.model_fields.get(name)
    inner = field.annotation if field else None
    if rest and isinstance(inner, type) and issubclass(inner, BaseModel):
        return _described(inner, rest)
    return [*table.model_fields], (field.description or "") if field else ""


def _with_kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return f"{shown(value)} ({kinds.get(type(value), 'a date or time')})"


def _did_you_mean(given: object, known: list[str]) -> str:
    name = str(given)
    close = [_ALIASES[name]] if _ALIASES.get(name) in known else get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _written(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part if _BARE_KEY.fullmatch(part) else json.dumps(part)}"


def _all_at_once(mistakes: list[Mistake], text: str, file: Path) -> ConfigError:
    lines = key_lines(text)
    located = sorted((line_of(lines, mistake.key) or 0, str(mistake)) for mistake in mistakes)
    told = [f"  {file}:{line}: {mistake}" if line else f"  {file}: {mistake}" for line, mistake in located]
    count = "1 mistake" if len(told) == 1 else f"{len(told)} mistakes"
    return ConfigError(
        "\n".join([f"{file} has {count}:", *told]), hint="correct them there; docs/hosts.md explains every key"
    )
