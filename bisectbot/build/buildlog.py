"""Build log text -> whose fault it is, the root-cause line and the guilty file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bisectbot.errors import DiskFull, InfraError, OutOfMemory, ToolMissing
from bisectbot.ports import LEFT_OUT

_LONGEST = 200  # characters of a title
_OF_OURS = ("# exit ", "$ ")  # how lines of a log begin that no tool of the tree's said

# What a source file says isn't what the machine says: quoted lines (` 12 |  code`), and errors that quote, as #error.
_QUOTED = re.compile(r"\s*\d*\s*\||[^\s:]+:\d+(?::\d+)?: (?:error|warning|note):")

_NO_ROOM = re.compile(r"(?:No space left on device|Disk quota exceeded)[.']?\s*$")
_NO_MEMORY = re.compile(
    r"""
    (?:Killed|Terminated)\ signal\ terminated\ program # gcc: its cc1 or as
    | fatal\ error:\ Killed                    # the same, older
    | internal\ compiler\ error:\ Killed
    | virtual\ memory\ exhausted
    | out\ of\ memory\ allocating\ \d          # cc1
    | LLVM\ ERROR:\ out\ of\ memory
    | [:\]]\ memory\ exhausted\s*$             # ld, as
    | std::bad_alloc
    | Cannot\ allocate\ memory\s*$             # fork, mmap
    | failed\ to\ map\ segment\ from\ shared\ object | cannot\ map\ zero-fill\ pages # a program's start
    | ^\S*sh:\ (?:line\ )?\d+:\ Cannot\ fork\s*$ # dash
    | terminated\ (?:with|by)\ signal\ (?:9|15)\b # collect2: ld
    | \*\*\*\ \[.*\]\ (?:Error\ (?:137|143)|Killed|Terminated)\s*$ # make
    | ^/bin/\S*sh:\ .*\bKilled\b               # the shell around a linker
    | [Uu]nable\ to\ execute\ command:\ Killed # clang
    """,
    re.VERBOSE,
)
_MACHINE = re.compile(
    r"(?:Input/output error|Read-only file system|Stale file handle|Too many open files(?: in system)?"
    r"|fork: (?:retry: )?Resource temporarily unavailable|Structure needs cleaning)\.?\s*$"
)
_NOT_FOUND = (
    re.compile(r"^\S*sh: (?:line )?\d+: (?:exec: )?(\w[\w.+-]*): (?:not found|command not found)$"),
    re.compile(r"^\S*sh: (\w[\w.+-]*): command not found$"),
    re.compile(r"^make(?:\[\d+\])?: (?:execvp: )?(\w[\w.+-]*): No such file or directory$"),
    re.compile(r"^(?:/usr)?/bin/env: ['\u2018]?(\w[\w.+-]*)['\u2019]?: No such file or directory$"),
)
_CANT_GO_ON = (  # said by a tool that stops for it
    re.compile(r"(?:C compiler|linker) '([\w.+-]+)' not found"),
    re.compile(r"fatal error: cannot (?:find|execute) '([\w.+-]+)'"),
    re.compile(r"^BTF: .*\b(pahole) \(\S+\) is not available"),
)
_ERROR_127 = re.compile(r"^make.*\*\*\* .* Error 127$", re.MULTILINE)
_HEADER = re.compile(r"^(\S+?):\d+:(?:\d+:)? fatal error: (\S+): No such file or directory")
_LIBRARY = re.compile(r"\bld: cannot find -l(\S+?):?(?: No such file or directory)?$")
_PLEASE = re.compile(r"[Pp]lease install ((?:lib)?[\w.+-]+)")

_TOOL_PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
    "x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu",
    "ld": "binutils",
    "lz4c": "lz4",
    "pahole": "dwarves",
    "python3": "python3",
    "depmod": "kmod",
    "xz": "xz-utils",
    "awk": "gawk",
    "bzip2": "bzip2",
    "gcc": "gcc",
    "cc": "gcc",
    "ld.lld": "lld",
    "as": "binutils",
    "cc1": "gcc",
}
_HEADER_PACKAGES = (
    (re.compile(r"openssl/.*"), "libssl-dev"),
    (re.compile(r"(?:gelf|libelf|elfutils/.*)\.?h?"), "libelf-dev"),
    (re.compile(r"n?curses\.h"), "libncurses-dev"),
    (re.compile(r"zlib\.h"), "zlib1g-dev"),
    (re.compile(r"yaml\.h"), "libyaml-dev"),
    (re.compile(r"(?:gmp|mpc|mpfr)\.h"), "libgmp-dev libmpc-dev libmpfr-dev"),
    (re.compile(r"gcc-plugin\.h"), "gcc-12-plugin-dev"),
    (re.compile(r"(?:stdio|stdlib|string|unistd|errno|sys/types|bits/.*)\.?h?"), "libc6-dev"),
)
# Programs for the machine that builds come from these folders; only there a missing header is the machine's.
_HOST_CODE = re.compile(r"(?:^|/)(?:scripts|certs|tools|usr|arch/[^/]+/(?:boot|tools|entry/vdso|kernel/vdso))/")
_LIBRARY_PACKAGES = {
    "elf": "libelf-dev",
    "crypto": "libssl-dev",
    "ssl": "libssl-dev",
    "z": "zlib1g-dev",
    "yaml": "libyaml-dev",
    "c": "libc6-dev",
}

# Each tells the first line that the compiler, assembler, linker or kbuild stops for; `file` is the guilty one.
_CAUSES = tuple(
    re.compile(pattern)
    for pattern in (
        r"^(?P<file>[^\s:]+):\d+(?::\d+)?: (?:fatal )?[eE]rror: .+",
        r"^(?:\S*\bld(?:\.\w+)?: )?(?P<file>[^\s:]+):(?:\(\S*\+0x[0-9a-f]+\)|\d+): .+",
        r"^\S*\bld(?:\.\w+)?: (?!.*warning: )(?:(?P<file>\S+\.[oa]): )?.+",
        r"^(?P<file>(?:\S*/)?Kconfig[^\s:]*):\d+: ?.+",
        r"^(?:\S*/)?Kconfig[^\s:]*: .*error.*",
        r"^.*error: recursive dependency detected!",
        r"^ERROR: modpost: .+",
        r"^ERROR: \".+\" \[(?P<file>.+)\] undefined!",
        r"^(?P<file>\S+\.o): (?:error: )?objtool: .+",
        r"^error: objtool: .+",
        r"^\S*(?:gcc|cc1|clang|as|collect2)(?:-\d+)?: .*error: .+",
        r"^make(?:\[\d+\])?: \*\*\* No rule to make target '(?P<file>[^']+)'.*",
        r"^(?P<file>\S*(?:Makefile|Kbuild)\S*):\d+: \*\*\* .+",
        r"^FAILED\b.*",
    )
)
_IN_FUNCTION = re.compile(r": in function `")
_OF_MAKE = re.compile(r"^make(?:\[\d+\])?: \*\*\* \[(?:\S+: )?(?P<file>[^\]]+)\] .+")
_NO_CONFIG = re.compile(r"Restart config|Run 'make oldconfig'|aborted! *$", re.IGNORECASE)


@dataclass(frozen=True)
class Diagnosis:
    """What a failed build log tells. With `fault`, the machine's, nothing is said about the commit."""

    title: str  # the root-cause line, bounded, without the place of the tree
    file: str = ""
    fault: InfraError | None = None
    in_source: bool = False  # the compiler itself names the line: nothing but the commit can be to blame


def diagnose(text: str, root: str = "") -> Diagnosis:
    """Return why a build failed; `root` is the folder of the tree, which is taken out of title and file.

    So is `../`, which an out-of-tree build in a folder below the tree calls it by.
    """
    lines = [_plain(line, root) for line in text.splitlines()]
    lines = [line for line in lines if line.strip() and not line.startswith(_OF_OURS)]
    for line in lines:
        if fault := _machine_fault(line):
            return Diagnosis(_title(line), "", fault)
    missing = next(filter(None, map(_missing, lines)), None) or _missing_tool(lines, text)
    return missing or _cause(lines)


def wants_new_config(text: str) -> bool:
    """Whether a build stopped because its .config doesn't answer all that the tree asks."""
    return _NO_CONFIG.search(text) is not None


def _plain(line: str, root: str) -> str:
    """Return a line without colours, control characters and the place of the tree."""
    line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f]", "", line).rstrip()
    if root:
        line = line.replace(f"{root.rstrip('/')}/", "")
    return re.sub(r"(?<![\w/.])\.\./(?=\w)", "", line)


def _title(line: str) -> str:
    line = line.strip()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _machine_fault(line: str) -> InfraError | None:
    if _QUOTED.match(line):
        return None
    said = _title(line)
    if _NO_ROOM.search(line):
        return DiskFull(f"the build has no room left: {said}", hint="free some disk space, then: bisectbot resume")
    if _NO_MEMORY.search(line):
        return OutOfMemory(f"the compiler ran out of memory: {said}", hint="build with fewer jobs, or add swap space")
    if line.startswith(LEFT_OUT):
        hint = "see the log; what prints so much is the tree's or a tool's"
        return InfraError("the build printed more than is kept: why it failed may have stood there", hint=hint)
    if _MACHINE.search(line):
        return InfraError(f"the machine that builds failed: {said}", hint="see dmesg, mend it, then: bisectbot resume")
    return None


def _missing(line: str) -> Diagnosis | None:
    """Return the diagnosis for a line that tells of a header or library of the host that isn't there."""
    package = _package_of_header(line) or _package_of_library(line)
    if not package and "***" in line and (please := _PLEASE.search(line)):
        package = please[1]
    return Diagnosis(_title(line), "", _install(f"a package is missing: {_title(line)}", package)) if package else None


def _package_of_header(line: str) -> str:
    found = _HEADER.match(line)
    if not found or not _HOST_CODE.search(found[1]):
        return ""
    return next((package for pattern, package in _HEADER_PACKAGES if pattern.fullmatch(found[2])), "")


def _package_of_library(line: str) -> str:
    found = _LIBRARY.search(line)
    return _LIBRARY_PACKAGES.get(found[1], "") if found else ""


def _missing_tool(lines: Sequence[str], text: str) -> Diagnosis | None:
    """Return the diagnosis if the build stopped for a program that isn't installed.

    Some scripts try a tool and go on without it; only where make stops with 127, or where no compiler complains,
    is it the cause.
    """
    the_cause = _ERROR_127.search(text) or not any(_causes(lines))
    forms = (*_CANT_GO_ON, *(_NOT_FOUND if the_cause else ()))
    for line in lines:
        if found := next(filter(None, (form.search(line) for form in forms)), None):
            fault = _install(f"the program {found[1]} is not installed", _TOOL_PACKAGES.get(found[1], found[1]))
            return Diagnosis(_title(line), "", fault)
    return None


def _install(message: str, package: str) -> ToolMissing:
    return ToolMissing(message, hint=f"apt-get install {package}")


def _cause(lines: Sequence[str]) -> Diagnosis:
    first = next(_causes(lines), None)
    target = next((found for line in lines if (found := _OF_MAKE.match(line))), None)
    if first:
        return first if first.file or not target else Diagnosis(first.title, target["file"])
    if target:
        return Diagnosis(_title(target[0]), target["file"])
    said = next((line for line in reversed(lines) if not line.startswith("make")), "")
    return Diagnosis(_title(said) or "make failed without a word")


def _causes(lines: Sequence[str]) -> Iterator[Diagnosis]:
    for line in lines:
        for number, pattern in enumerate(_CAUSES):
            if (found := pattern.match(line)) and not _IN_FUNCTION.search(line):
                yield Diagnosis(_title(line), found.groupdict().get("file") or "", in_source=number == 0)
                break
