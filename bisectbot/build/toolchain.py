"""Which compiler builds a commit, what it says of itself, and the variables that make gets."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from bisectbot.arch import traits
from bisectbot.errors import ConfigError, InfraError, ToolMissing
from bisectbot.model import Arch, BuildRecipe, Span
from bisectbot.ports import Deadline, Graph, Proc

# bisectbot's own: another value would break the key of the store, the proof of the release, or both.
_OURS = ("O", "KBUILD_OUTPUT", "ARCH", "SRCARCH", "LOCALVERSION", "KERNELRELEASE", "KERNELVERSION", "M", "W")


def span_holds(span: Span, commit: str, graph: Graph) -> bool:
    """Whether a commit contains the span's `since` and doesn't contain its `until`."""
    if span.since is not None and not graph.is_ancestor(span.since, commit):
        return False
    return span.until is None or not graph.is_ancestor(span.until, commit)


def check_make_vars(make_vars: tuple[tuple[str, str], ...], arch: Arch) -> None:
    """Raise ConfigError for a variable that bisectbot sets itself."""
    for name, value in make_vars:
        if name == "ARCH" and value == traits(arch).make_arch:
            continue
        if name in _OURS or name.startswith("KBUILD_BUILD_"):
            raise ConfigError(f"--make {name}={value}: bisectbot sets {name} itself", hint="leave it out")
        if not name.isidentifier():
            raise ConfigError(f"--make {name}={value}: {name!r} is no make variable", hint="write NAME=VALUE")


def compiler_for(recipe: BuildRecipe, commit: str, graph: Graph, machine: str) -> str:
    """Return the compiler's command: the recipe's for this commit, or the architecture's own."""
    for compiler in recipe.compilers:
        if span_holds(compiler.span, commit, graph):
            return compiler.command
    variables = dict(recipe.make_vars)
    if "CC" in variables:
        return variables["CC"]
    llvm = variables.get("LLVM", "0")
    if llvm not in ("", "0"):
        return f"{llvm}clang" if llvm.endswith("/") else f"clang{llvm if llvm.startswith('-') else ''}"
    return f"{cross_prefix(recipe, machine)}gcc"


def cross_prefix(recipe: BuildRecipe, machine: str) -> str:
    """Return CROSS_COMPILE: the user's, or the one that a machine of another architecture (`uname -m`) needs."""
    own = "" if machine == recipe.arch else traits(recipe.arch).cross
    return dict(recipe.make_vars).get("CROSS_COMPILE", own)


@dataclass(frozen=True)
class Toolchain:
    """A compiler with its linker, and what they say of themselves."""

    arch: Arch
    compiler: str  # the command, without ccache
    cross: str
    identity: str  # versions and target: two toolchains with equal texts make equal kernels
    ccache: bool

    def variables(self, make_vars: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
        """Return what make gets on its command line, the user's variables among them."""
        cached = "ccache " if self.ccache else ""
        ours = {"ARCH": traits(self.arch).make_arch, "CC": f"{cached}{self.compiler}"}
        if self.cross:
            ours["CROSS_COMPILE"] = self.cross
        if cached and "clang" not in self.compiler:
            ours["HOSTCC"] = "ccache gcc"
        return {**ours, **{name: value for name, value in make_vars if name != "CC"}}


@dataclass
class Toolchains:
    """Asks each compiler once who it is."""

    proc: Proc
    machine: str = field(default_factory=platform.machine)
    ccache: bool = True  # use it where it is installed
    _known: dict[tuple[str, str, Arch], Toolchain] = field(default_factory=dict, repr=False)

    def pick(self, recipe: BuildRecipe, commit: str, graph: Graph, deadline: Deadline) -> Toolchain:
        """Return the toolchain of a commit; ToolMissing if it isn't installed, ConfigError if it makes other code."""
        check_make_vars(recipe.make_vars, recipe.arch)
        command = compiler_for(recipe, commit, graph, self.machine)
        cross = cross_prefix(recipe, self.machine)
        known = self._known.get((command, cross, recipe.arch))
        if known is None:
            known = self._ask(command, cross, recipe.arch, deadline)
            self._known[command, cross, recipe.arch] = known
        return known

    def _ask(self, command: str, cross: str, arch: Arch, deadline: Deadline) -> Toolchain:
        words = shlex.split(command)
        if not words:
            raise ConfigError("a compiler without a name", hint="give a command, say gcc-12")
        plain = words[1:] if words[0] == "ccache" and words[1:] else words
        target = self._first_line([*plain, "-dumpmachine"], arch, deadline)
        if "clang" not in plain[0]:  # clang is told its target by kbuild
            _check_target(command, target, arch)
        version = self._first_line([*plain, "--version"], arch, deadline)
        others = [self._optional([tool, "--version"], deadline) for tool in (f"{cross}ld", "pahole")]
        use_ccache = self.ccache and self.proc.which("ccache") is not None
        return Toolchain(arch, shlex.join(plain), cross, "\n".join([version, target, *others]), use_ccache)

    def _first_line(self, argv: list[str], arch: Arch, deadline: Deadline) -> str:
        if self.proc.which(argv[0]) is None:
            raise ToolMissing(f"the compiler {argv[0]} is not installed", hint=_way_out(argv[0], arch))
        code, text = self.proc.output(argv, deadline=deadline, env={"LANG": "C"})
        if code:
            raise InfraError(f"{shlex.join(argv)} fails: {text.strip()[:200]}", hint="run it by hand")
        return text.partition("\n")[0]

    def _optional(self, argv: list[str], deadline: Deadline) -> str:
        """Return what a tool says of itself, or that it isn't there: both have a say in the configuration."""
        if self.proc.which(argv[0]) is None:
            return f"no {argv[0]}"
        return self.proc.output(argv, deadline=deadline, env={"LANG": "C"})[1].partition("\n")[0]


def _way_out(tool: str, arch: Arch) -> str:
    if "/" in tool:
        return "check its path"
    return f"apt-get install {traits(arch).cross_package if tool == f'{traits(arch).cross}gcc' else tool}"


def _check_target(command: str, target: str, arch: Arch) -> None:
    made_for = target.partition("-")[0]
    if made_for in tuple(Arch) and made_for != arch:
        raise ConfigError(
            f"the compiler {command} makes code for {made_for}, the kernel is for {arch}",
            hint=f"use {traits(arch).cross}gcc (apt-get install {traits(arch).cross_package})",
        )


def as_arguments(variables: Mapping[str, str]) -> list[str]:
    """Return make variables as words of a command line."""
    return [f"{name}={value}" for name, value in variables.items()]
