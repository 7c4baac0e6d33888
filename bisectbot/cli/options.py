"""The options that several commands share, and how their words become recipes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from bisectbot import places
from bisectbot.build import fragments
from bisectbot.cli.completion import host_names
from bisectbot.errors import ConfigError
from bisectbot.lab import Host, LabHost, Payload
from bisectbot.model import BuildRecipe, Compiler, Fixup, ProbeRecipe, Span
from bisectbot.ports import Graph

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Noun = TypeVar("_Noun", "Words", "ProbeWords")

_OUR_FRAGMENT = "kvm-rseq"
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Words:
    """What the user said about building and probing, not yet looked at."""

    tree: Path
    host: str | None
    hosts: Path | None
    kconfig: tuple[str, ...]
    base: str
    cc: tuple[str, ...]
    make: tuple[str, ...]
    fixup: tuple[str, ...]
    jobs: int | None


@dataclass(frozen=True)
class ProbeWords:
    """What the user said about the reproducer."""

    reproducer: Path | None
    args: tuple[str, ...]
    runs: int
    tries: int
    signature: str | None


_BUILD_OPTIONS = (
    click.option(
        "--tree", type=_FOLDER, required=True, metavar="DIR", help="The Linux git tree; it is left untouched."
    ),
    click.option(
        "--host",
        metavar="NAME",
        shell_complete=host_names,
        help="A test machine of hosts.toml; its architecture is built for.",
    ),
    click.option("--hosts", type=_FILE, metavar="FILE", help="Another hosts.toml."),
    click.option(
        "--kconfig", multiple=True, metavar="FRAGMENT", help="A name from kconfigs/ or a file; may be repeated."
    ),
    click.option(
        "--base", default="tinyconfig", show_default=True, metavar="BASE", help="tinyconfig, defconfig or a .config."
    ),
    click.option(
        "--cc", multiple=True, metavar="CC[@SINCE..UNTIL]", help="The compiler, perhaps for a part of the range."
    ),
    click.option("--make", multiple=True, metavar="VAR=VALUE", help="A variable for make; may be repeated."),
    click.option(
        "--fixup",
        multiple=True,
        metavar="FIX[@SINCE..UNTIL]",
        help="A commit or patch file laid over commits that contain SINCE and lack UNTIL.",
    ),
    click.option("--jobs", "-j", type=click.IntRange(1), help="Parallel compilers; by default one for each CPU."),
)
_PROBE_OPTIONS = (
    click.option(
        "--reproducer", type=_FILE, metavar="PATH", help="Your own static program instead of the KVM+rseq one."
    ),
    click.option(
        "--runs", type=click.IntRange(1), default=3, show_default=True, help="Clean runs that make a commit good."
    ),
    click.option(
        "--tries", type=click.IntRange(1), default=2, show_default=True, help="Boots before a silent commit is skipped."
    ),
    click.option(
        "--signature", metavar="REGEX", help="The bug is a crash with such a title (see `bisectbot console`)."
    ),
    click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS...]"),
)
_LOGS = click.option(
    "--logs", type=_FOLDER, default=Path("logs"), show_default=True, metavar="DIR", help="Where sessions are kept."
)


def build_options(command: _Command) -> _Command:
    """Add what is said of trees and builds; gather() makes Words of it."""
    return _added(command, _BUILD_OPTIONS)


def probe_options(command: _Command) -> _Command:
    """Add what is said of the reproducer; gather() makes ProbeWords of it."""
    return _added(command, _PROBE_OPTIONS)


def logs_option(command: _Command) -> _Command:
    """Add --logs."""
    return _LOGS(command)


def _added(command: _Command, options: Sequence[Callable[[_Command], _Command]]) -> _Command:
    # the last decorator stands first in --help
    for option in reversed(options):
        command = option(command)
    return command


def gather(noun: type[_Noun], said: Mapping[str, Any]) -> _Noun:
    """Return a Words or ProbeWords from a command's options."""
    return noun(**{one.name: said[one.name] for one in fields(noun)})


def build_recipe(words: Words, host: Host, graph: Graph, jobs: int | None) -> tuple[BuildRecipe, tuple[str, ...]]:
    """Return the recipe and the names of the fragments; ConfigError for what can't be understood."""
    names = words.kconfig or (_OUR_FRAGMENT,)
    recipe = BuildRecipe(
        arch=host.arch,
        base=_base(words.base),
        fragments=fragments.resolve(names, host.arch, places.data("kconfigs")),
        compilers=tuple(_compiler(text, graph) for text in words.cc),
        make_vars=tuple(_variable(text) for text in words.make),
        fixups=tuple(_fixup(text, graph) for text in words.fixup),
        jobs=words.jobs or jobs or len(os.sched_getaffinity(0)),
        modules=isinstance(host, LabHost) and host.payload is Payload.HOST,
    )
    return recipe, tuple(names)


def probe_recipe(probe: ProbeWords, program: Path) -> ProbeRecipe:
    """Return the recipe for a program that was checked."""
    return ProbeRecipe(program.absolute(), probe.args, probe.runs, probe.tries, probe.signature)


def _base(text: str) -> str:
    if text in ("tinyconfig", "defconfig"):
        return text
    path = Path(text).expanduser()
    if not path.is_file():
        raise ConfigError(f"--base {text}: no such file", hint="give tinyconfig, defconfig or the path of a .config")
    return str(path.absolute())


def _compiler(text: str, graph: Graph) -> Compiler:
    command, span = _with_span("--cc", text, graph)
    if not shlex.split(command):
        raise ConfigError(f"--cc {text!r}: names no compiler", hint="say --cc gcc-12 or --cc clang@v5.10..v5.15")
    return Compiler(command, span)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.replace("_", "").isalnum():
        raise ConfigError(f"--make {text!r}: not of the form VAR=VALUE", hint="say --make KCFLAGS=-Wno-error")
    return name, value


def _fixup(text: str, graph: Graph) -> Fixup:
    name, span = _with_span("--fixup", text, graph)
    path = Path(name).expanduser()
    if path.is_file():
        return Fixup(name, path.read_text(errors="surrogateescape"), span)
    return Fixup(name, graph.patch(graph.resolve(name)), span)


def _with_span(option: str, text: str, graph: Graph) -> tuple[str, Span]:
    """Return the part before an @ and the span behind it; a revision like HEAD@{1} has no .. behind its @."""
    name, at, behind = text.rpartition("@")
    if not at or ".." not in behind:
        return text, Span()
    since, _, until = behind.partition("..")
    if not name:
        raise ConfigError(f"{option} {text!r}: nothing stands before the @", hint=f"say {option} NAME@SINCE..UNTIL")
    return name, Span(since=graph.resolve(since) if since else None, until=graph.resolve(until) if until else None)
