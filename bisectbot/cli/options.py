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
from bisectbot.plan import PriorKind, PriorRule
from bisectbot.ports import Graph

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Noun = TypeVar("_Noun", "Words", "ProbeWords")

DEFAULT_RUNS = 3  # that show a commit to be good where no odds are kept
_OUR_FRAGMENT = "kvm-rseq"
_PRIOR_HINT = "say --prior path:virt/=3, --prior author:NAME=2 or --prior list:FILE=5; the number may be left out"
_LIKELIER = 3.0  # where none is given
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
    runs: int | None
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
        "--runs",
        type=click.IntRange(1),
        metavar="N",
        help=f"Clean runs that make a commit good ({DEFAULT_RUNS} for `try`); makes `run` a plain bisection.",
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
    return ProbeRecipe(program.absolute(), probe.args, probe.runs or DEFAULT_RUNS, probe.tries, probe.signature)


def prior_rules(texts: Sequence[str], graph: Graph) -> tuple[PriorRule, ...]:
    """Return the rules of --prior KIND:WHAT[=FACTOR]; ConfigError for what can't be understood or found."""
    return tuple(_prior(text, graph) for text in texts)


def _prior(text: str, graph: Graph) -> PriorRule:
    head, colon, rest = text.partition(":")
    what, factor = _with_factor(text, rest)
    if not colon or head not in list(PriorKind) or not what:
        raise ConfigError(f"--prior {text!r}: not of the form KIND:WHAT=FACTOR", hint=_PRIOR_HINT)
    match kind := PriorKind(head):
        case PriorKind.LIST:
            return PriorRule(kind, what, factor, _listed(text, Path(what).expanduser(), graph))
        case PriorKind.PATH:
            return PriorRule(kind, _inside(text, what), factor)
        case PriorKind.AUTHOR:
            return PriorRule(kind, what, factor)


def _with_factor(text: str, rest: str) -> tuple[str, float]:
    """Return what stands before an =, and the number behind it."""
    what, equals, number = rest.rpartition("=")
    if not equals:
        return rest, _LIKELIER
    try:
        factor = float(number)
    except ValueError:
        raise ConfigError(f"--prior {text!r}: {number!r} is no number", hint=_PRIOR_HINT) from None
    if not 0 < factor < float("inf"):
        raise ConfigError(
            f"--prior {text!r}: a factor must be above 0",
            hint="say 0.1 for less likely; to leave commits out altogether, use --path",
        )
    return what, factor


def _inside(text: str, path: str) -> str:
    """Return a path as git names it; one that leads out of the tree can't be touched by any commit."""
    inside = os.path.normpath(path)
    if inside.startswith(("/", "..")) or inside == ".":
        raise ConfigError(f"--prior {text!r}: not a path inside the tree", hint="give it as git log --stat prints it")
    return inside


def _listed(text: str, path: Path, graph: Graph) -> tuple[str, ...]:
    """Return the commits that a file names, one a line; what follows a # is a comment."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(
            f"--prior {text!r}: {error.strerror}", hint="give a file with one revision on each line"
        ) from error
    revisions = [word for line in lines if (word := line.partition("#")[0].strip())]
    if not revisions:
        raise ConfigError(f"--prior {text!r}: the file names no commit", hint="write one revision on each line")
    return tuple(dict.fromkeys(graph.resolve(one) for one in revisions))


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
