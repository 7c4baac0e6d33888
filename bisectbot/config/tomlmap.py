"""Where each key of a TOML text stands; tomllib itself doesn't tell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

Key = tuple[str, ...]

_LONGEST = 200  # lines of one statement; looking further would cost the square of that


def key_lines(text: str) -> dict[Key, int]:
    """Return the line, from 1, on which each key and table of a valid TOML text begins."""
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, statement in _statements(text):
        if statement.lstrip().startswith("["):
            table = _header(tomllib.loads(statement))
            lines.setdefault(table, number)
        else:
            for key in _keys(tomllib.loads(statement)):
                lines.setdefault(table + key, number)
    return lines


def line_of(lines: Mapping[Key, int], path: tuple[str | int, ...]) -> int | None:
    """Return the line of a key, else of the innermost table around it that has one."""
    key = tuple(str(part) for part in path)
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each header and each `key = value`.

    No proper beginning of a statement is TOML by itself, so a statement ends where it first parses.
    """
    start, pending = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        pending += line + "\n"
        if number - start > _LONGEST:
            return
        if _parses(pending):
            yield start, pending
            start, pending = number + 1, ""


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


def _header(parsed: object) -> Key:
    """Return the path of a `[table]` or `[[array of tables]]` that was parsed alone."""
    match parsed:
        case [inner]:
            return _header(inner)
        case dict() if parsed:
            name, inner = next(iter(parsed.items()))
            return (name, *_header(inner))
        case _:
            return ()


def _keys(parsed: Mapping[str, object]) -> Iterator[Key]:
    """Yield the path of each key, of tables before their contents."""
    for name, value in parsed.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *rest) for rest in _keys(value))
