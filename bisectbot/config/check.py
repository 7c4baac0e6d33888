"""One table of hosts.toml against what may stand in it, and how the mistakes found are told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bisectbot.config.hostwords import shown
from bisectbot.config.tomlmap import key_lines, line_of
from bisectbot.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ALIASES = {"arm64": "aarch64", "amd64": "x86_64", "x86-64": "x86_64"}

KeyPath = tuple[str | int, ...]
_T = TypeVar("_T", bound=BaseModel)


@dataclass(frozen=True)
class Mistake:
    """One thing in hosts.toml that can't be worked with."""

    key: KeyPath
    reason: str
    accepted: str = ""

    def __str__(self) -> str:
        key = "".join(_written(part) for part in self.key).removeprefix(".")
        return f"{key}: {self.reason}" + (f"; accepted: {self.accepted}" if self.accepted else "")


def check(table: type[_T], raw: object, at: KeyPath, mistakes: list[Mistake]) -> _T | None:
    """Return what a table says; None if it has mistakes, which are added to the list."""
    try:
        return table.model_validate(raw)
    except ValidationError as error:
        mistakes += [_mistake(table, details, at) for details in error.errors()]
        return None


def check_kind(
    kinds: Mapping[str, type[_T]], raw: Mapping[str, object], key: str, at: KeyPath, mistakes: list[Mistake]
) -> _T | None:
    """Return what a table says whose other keys depend on the word under `key`; None if it has mistakes."""
    kind = raw.get(key)
    if isinstance(kind, str) and kind in kinds:
        return check(kinds[kind], raw, at, mistakes)
    # Which other keys it may have isn't known, so they can't be judged.
    reason = "is missing" if key not in raw else f"is {shown(kind)}{did_you_mean(kind, [*kinds])}"
    mistakes.append(Mistake((*at, key), reason, ", ".join(kinds)))
    return None


def did_you_mean(given: object, known: list[str]) -> str:
    """Return the known word nearest to the given one as a remark, or nothing."""
    name = str(given)
    close = [_ALIASES[name]] if _ALIASES.get(name) in known else get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def all_at_once(mistakes: list[Mistake], text: str, file: Path) -> ConfigError:
    """Return the error that tells every mistake, in the order of the file's lines."""
    lines = key_lines(text)
    located = sorted((line_of(lines, mistake.key) or 0, str(mistake)) for mistake in mistakes)
    told = [f"  {file}:{line}: {mistake}" if line else f"  {file}: {mistake}" for line, mistake in located]
    count = "1 mistake" if len(told) == 1 else f"{len(told)} mistakes"
    return ConfigError(
        "\n".join([f"{file} has {count}:", *told]), hint="correct them there; docs/hosts.md explains every key"
    )


def _mistake(table: type[BaseModel], details: ErrorDetails, at: KeyPath) -> Mistake:
    key = at + details["loc"]
    siblings, accepted = _described(table, details["loc"])
    value, kind = details["input"], details["type"]
    match kind:
        case "missing":
            return Mistake(key, "is missing", accepted)
        case "extra_forbidden":
            return Mistake(key, f"no such key{did_you_mean(key[-1], siblings)}", ", ".join(siblings))
        case "value_error":
            return Mistake(key, str(details["ctx"]["error"]), accepted)
        case _:
            guess = did_you_mean(value, accepted.split(", ")) if kind == "enum" else ""
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


def _written(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part if _BARE_KEY.fullmatch(part) else json.dumps(part)}"
