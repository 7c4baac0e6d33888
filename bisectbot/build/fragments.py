"""Configuration fragments: which files are merged for an architecture, and what each of their options is wanted for.

A fragment is a piece of .config. The comment lines directly above an option are its reason; options that follow
each other without a comment between them share it. A comment line that starts with `# optional:`, directly above an
option, makes this one option optional; every other one is required. `# CONFIG_X is not set` wants X off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import ConfigError
from bisectbot.model import Arch

_SUFFIX = ".config"
_BASE = "base"
_SET = re.compile(r"(CONFIG_\w+)=(.*)")
_UNSET = re.compile(r"# (CONFIG_\w+) is not set")
_VALUE = re.compile(r'[ymn]|-?\d+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*"')
_OPTIONAL = "# optional:"


@dataclass(frozen=True)
class Want:
    """One option that a fragment asks for."""

    option: str  # with its CONFIG_
    value: str  # as .config writes it; "n" for off
    optional: bool
    reason: str
    fragment: str  # the name of the file
    line: int  # in it, from 1

    def __str__(self) -> str:
        return f"{self.option}={self.value}"


def known(arch: Arch, folder: Path) -> tuple[str, ...]:
    """Return the fragments in `folder` that can be asked for on an architecture (base and the arch's own are given)."""
    found = (path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
    names = {name.removesuffix(f".{arch}") for name in found}
    always = {_BASE, *Arch}
    return tuple(sorted(name for name in names - always if name.rpartition(".")[2] not in always))


def resolve(asked: Sequence[str], arch: Arch, folder: Path) -> tuple[Path, ...]:
    """Return the files to merge, in order: base, the architecture's, then those asked for, by name or by path.

    Each file may have a part for one architecture beside it, which is merged right after it.
    Raises ConfigError for a name that is neither in `folder` nor a file.
    """
    found = [*_with_part(folder / f"{_BASE}{_SUFFIX}", arch), *_with_part(folder / f"{arch}{_SUFFIX}", arch)]
    for name in asked:
        found += _find(name, arch, folder)
    return tuple(dict.fromkeys(found))


def _with_part(path: Path, arch: Arch) -> list[Path]:
    return [one for one in (path, path.with_suffix(f".{arch}{_SUFFIX}")) if one.is_file()]


def _find(name: str, arch: Arch, folder: Path) -> list[Path]:
    if name == _BASE or name in known(arch, folder):
        return _with_part(folder / f"{name}{_SUFFIX}", arch)
    path = Path(name).expanduser()
    if path.is_file():
        return _with_part(path.absolute(), arch)
    names = ", ".join(known(arch, folder))
    raise ConfigError(f"--kconfig {name}: no such fragment for {arch}, and no such file", hint=f"known: {names}")


def read(paths: Sequence[Path]) -> tuple[Want, ...]:
    """Return what the files want, in order; where two give an option different values the later stands, as merged.

    What one of them requires is required, even where another one asks for the same value as optional.
    """
    wants: dict[str, Want] = {}
    for want in (want for path in paths for want in parse(text_of(path), path.name)):
        earlier = wants.get(want.option)
        if earlier is None or earlier.value != want.value or earlier.optional:
            wants[want.option] = want
    return tuple(wants.values())


def text_of(path: Path) -> str:
    """Return a fragment's text with plain line ends, the last one among them; ConfigError if it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--kconfig {path}: can't be read: {error}") from error
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def parse(text: str, name: str) -> tuple[Want, ...]:
    """Return what a fragment's text wants; ConfigError names the first line that is no option and no comment."""
    wants: dict[str, Want] = {}
    comment: list[str] = []
    after_option = False
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if option := _option(line, name, number):
            optional = not after_option and any(one.startswith(_OPTIONAL) for one in comment)
            want = Want(*option, optional, _reason(comment), name, number)
            _only_once(want, wants)
            wants[want.option] = want
        else:
            comment = [line] if after_option or not line else [*comment, line]
        after_option = option is not None
    return tuple(wants.values())


def _option(line: str, name: str, number: int) -> tuple[str, str] | None:
    if unset := _UNSET.fullmatch(line):
        return unset[1], "n"
    if not line or line.startswith("#"):
        return None
    found = _SET.fullmatch(line)
    if found is None:
        raise ConfigError(f"{name}:{number}: neither an option nor a comment: {line[:80]}", hint="write CONFIG_X=y")
    if not _VALUE.fullmatch(found[2]):
        hint = 'a value is y, m, n, a number or a "string"'
        raise ConfigError(f"{name}:{number}: {found[1]} has no value that .config knows: {found[2][:80]}", hint=hint)
    return found[1], found[2]


def _only_once(want: Want, wants: dict[str, Want]) -> None:
    if earlier := wants.get(want.option):
        raise ConfigError(
            f"{want.fragment}:{want.line}: {want.option} stands in line {earlier.line} too", hint="keep one of them"
        )


def _reason(comment: Sequence[str]) -> str:
    return " ".join(line.removeprefix(_OPTIONAL).lstrip("# ") for line in comment if line).strip()
