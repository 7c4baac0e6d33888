"""Programs that builds and reports call: there, and new enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bisectbot.doctor.finding import Bench, Finding, Status, lacking
from bisectbot.model import Arch
from bisectbot.visible import visible

_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Tool:
    """A program, the Debian packages that make it work, what it is for, and how bad its absence is."""

    program: str
    packages: tuple[str, ...]
    purpose: str
    absent: Status = Status.FAIL
    least: tuple[int, ...] = ()


_TOOLS = (
    Tool("git", ("git",), "it picks the commits", least=(2, 30)),
    Tool("make", ("make",), "kernels are built with it", least=(3, 82)),
    Tool("gcc", ("gcc", "libc6-dev"), "kernels, and the programs of their build, are compiled with it", least=(5, 1)),
    Tool("ld", ("binutils",), "kernels are linked with it"),
    Tool("flex", ("flex",), "the kernel's Kconfig is built with it"),
    Tool("bison", ("bison",), "the kernel's Kconfig is built with it"),
    Tool("bc", ("bc",), "the kernel's build computes time constants with it"),
    Tool(
        "perl", ("perl-base",), "get_maintainer.pl, for the report's recipients, and some kernel configs", Status.WARN
    ),
    Tool("ccache", ("ccache",), "without it a revisited neighbourhood is compiled anew", Status.WARN),
)
_LZ4 = Tool("lz4", ("lz4",), "the x86_64 kernels are compressed with it")


def tools(bench: Bench, archs: frozenset[Arch]) -> Iterator[Finding]:
    """Check every program; `archs` are those that can't be done without."""
    for tool in _TOOLS:
        yield check(bench, tool)
    yield check(bench, _LZ4 if Arch.X86_64 in archs else replace(_LZ4, absent=Status.WARN))


def check(bench: Bench, tool: Tool) -> Finding:
    """Tell whether a program is there and new enough."""
    if bench.proc.which(tool.program) is None:
        return lacking(tool.program, tool.absent, f"not installed; {tool.purpose}", *tool.packages)
    code, text = bench.ask(tool.program, "--version")
    found = _VERSION.search(text)
    if code or not found:
        return lacking(tool.program, tool.absent, f"doesn't tell its version: {visible(text, 100)}", *tool.packages)
    if _numbers(found[0]) < tool.least:
        wanted = ".".join(str(part) for part in tool.least)
        return lacking(tool.program, tool.absent, f"{found[0]} is older than {wanted}", *tool.packages)
    return Finding(tool.program, Status.OK, found[0])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
