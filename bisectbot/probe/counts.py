"""The reproducer's own counts: a JSON object on one line of its output, taken as data from a stranger."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import NoReturn, TypeVar

from bisectbot.visible import visible

MAX_BYTES = 64 * 1024
MAX_DEPTH = 5
MAX_ITEMS = 200  # of one object or list
MAX_TEXT = 1000  # characters of one string
MAX_NUMBER = 1 << 64  # what C programs count with

_Items = TypeVar("_Items", bound=Collection[object])


def read_counts(line: str) -> dict[str, object] | None:
    """Return the object that a line of output is; None for any other line, or one that is beyond the bounds."""
    text = line.strip()
    if not (text.startswith("{") and text.endswith("}")) or len(text.encode(errors="replace")) > MAX_BYTES:
        return None
    try:
        found = json.loads(text, parse_constant=_refuse)
        return {visible(key): _checked(value, MAX_DEPTH) for key, value in _few(found.items())}
    except (ValueError, RecursionError):
        return None


def told_seconds(counts: Mapping[str, object]) -> float | None:
    """Return the seconds that the reproducer says it was at work; None unless it tells a number, not below 0."""
    seconds = counts.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        return None
    return float(seconds)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity, which are no JSON


def _few(items: _Items) -> _Items:
    if len(items) > MAX_ITEMS:
        raise ValueError("too many items")
    return items


def _checked(value: object, depth: int) -> object:
    """Return the value with its strings made harmless; ValueError beyond the bounds."""
    if depth == 0:
        raise ValueError("too deep")
    match value:
        case str():
            return visible(value, MAX_TEXT)
        case dict():
            return {visible(key): _checked(inner, depth - 1) for key, inner in _few(value.items())}
        case list():
            return [_checked(inner, depth - 1) for inner in _few(value)]
        case int() | float() if abs(value) > MAX_NUMBER:  # 1e999 is infinite
            raise ValueError("a number out of bounds")
        case _:
            return value
