"""Reads history.toml and commits/*.toml: which commits the demo tree has, and on which lines of development."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.edits import Add, Edit, FileEdit, Rename, Replace
from demo.errors import DemoError

TRUNK = "main"
CULPRIT = "culprit"
KINDS = (CULPRIT, "no-compile", "boot-panic", "boot-hang", "probe-crash")


@dataclass(frozen=True)
class Change:
    """One commit's text and edits; `kind` is empty for the ordinary ones."""

    name: str
    title: str
    body: str
    author: str
    kind: str
    edits: tuple[FileEdit, ...]


@dataclass(frozen=True)
class Commit:
    """The next commit of a line of development."""

    line: str
    change: Change


@dataclass(frozen=True)
class Fork:
    """A line of development begins where another one is now."""

    line: str
    off: str


@dataclass(frozen=True)
class Merge:
    """A line of development goes into another one."""

    line: str
    into: str
    title: str


Step = Commit | Fork | Merge


@dataclass(frozen=True)
class Plan:
    """The whole history after the import, in the order of its dates."""

    start: datetime  # of the import
    minutes: int  # between two steps
    maintainer: str  # "Name <address>": committer of everything, author of import and merges
    steps: tuple[Step, ...]
    digest: str  # of every file that the plan was read from


def read(folder: Path) -> Plan:
    """Return the plan in `folder`; DemoError names the file with a mistake."""
    files = [folder / "history.toml", *sorted((folder / "commits").glob("*.toml"))]
    texts = {file: file.read_bytes() for file in files}
    top = _toml(files[0], texts[files[0]])
    people = top["people"]
    changes = {file.stem: _change(file, _toml(file, texts[file]), people) for file in files[1:]}
    steps = tuple(step for row in top["steps"] for step in _steps(row, changes))
    used = [step.change.name for step in steps if isinstance(step, Commit)]
    if sorted(used) != sorted(changes):
        odd = sorted(set(changes) ^ set(used)) or sorted({name for name in used if used.count(name) > 1})
        raise DemoError(f"{files[0]}: each file in commits/ has to be named exactly once: {', '.join(odd)}")
    digest = hashlib.sha256(b"\0".join(file.name.encode() + b"\0" + texts[file] for file in files)).hexdigest()
    return Plan(top["start"], top["minutes"], people["maintainer"], steps, digest)


def _toml(file: Path, text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except ValueError as error:
        raise DemoError(f"{file}: {error}") from error


def _steps(row: dict[str, Any], changes: dict[str, Change]) -> list[Step]:
    match row:
        case {"on": line, "commits": names}:
            return [Commit(line, changes[name]) for name in names]
        case {"fork": line, "off": off}:
            return [Fork(line, off)]
        case {"merge": line, "into": into, "title": title}:
            return [Merge(line, into, title)]
    raise DemoError(f"history.toml: not a step: {row}")


def _change(file: Path, data: dict[str, Any], people: dict[str, str]) -> Change:
    kind = data.get("kind", "")
    if kind and kind not in KINDS:
        raise DemoError(f"{file}: no such kind: {kind}")
    edits = tuple(FileEdit(row["file"], _edit(file, row)) for row in data["edit"])
    return Change(file.stem, data["title"], data["body"], people[data["author"]], kind, edits)


def _edit(file: Path, row: dict[str, str]) -> Edit:
    match row:
        case {"find": find, "put": put}:
            return Replace(find, put)
        case {"after": anchor, "add": lines}:
            return Add(anchor, lines, after=True)
        case {"before": anchor, "add": lines}:
            return Add(anchor, lines, after=False)
        case {"rename": old, "to": new, "in": function}:
            return Rename(old, new, function)
    raise DemoError(f"{file}: not an edit: {row}")
