"""The trailers of a commit message (Fixes, Signed-off-by, Link ...), read the way the kernel's tools write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_LINE = re.compile(r"(?P<key>[A-Z][A-Za-z-]{1,39}):[ \t]*(?P<value>\S.*)")
# Keys that make a line a trailer even where prose stands around it.
_KNOWN = re.compile(r"(?:[A-Z][a-z]+-(?:[a-z]+-)*by|Fixes|Cc|Link|Closes|Message-Id|Change-Id):", re.IGNORECASE)
_PERSON = re.compile(r"(?P<name>.*)<(?P<address>[^<>\s]+)>[^<>]*")
_UPSTREAM = (
    re.compile(r"commit ([0-9a-f]{40}) upstream\.?"),
    re.compile(r"\[ ?Upstream commit ([0-9a-f]{40}) ?\]"),
    re.compile(r"\(cherry picked from commit ([0-9a-f]{40})\)"),
)
_MOST = 64
_MOST_TEXT = 32 << 10  # characters of a message that are looked at


@dataclass(frozen=True)
class Trailer:
    """One `key: value` line at the end of a message."""

    key: str
    value: str


def parse_trailers(body: str) -> tuple[Trailer, ...]:
    """Return the trailers of a message body, in its order, at most 64.

    They stand in the last paragraphs, as far up as each holds nothing else: a maintainer's `[note]` and lines that
    go on after white space don't end them.
    """
    found: list[Trailer] = []
    for paragraph in reversed(re.split(r"\n[ \t]*\n", body[-_MOST_TEXT:].strip())):
        block = _block(paragraph)
        if not block:
            break
        found[:0] = block
    return tuple(found[:_MOST])


def _block(paragraph: str) -> list[Trailer]:
    """Return the trailers of a paragraph that holds nothing else, or none."""
    trailers: list[Trailer] = []
    noting = False
    for line in paragraph.splitlines():
        match = _LINE.fullmatch(line.rstrip())
        if noting or line.startswith("["):
            noting = "]" not in line
        elif match:
            trailers.append(Trailer(match["key"], match["value"]))
        elif trailers and line[:1].isspace():
            trailers[-1] = replace(trailers[-1], value=f"{trailers[-1].value} {line.strip()}")
        else:
            return []
    known = any(_KNOWN.match(f"{trailer.key}:") for trailer in trailers)
    return trailers if known else []


def person(trailer: Trailer) -> tuple[str, str] | None:
    """Return the (name, address) that a trailer's value names, or None; neither is checked."""
    match = _PERSON.fullmatch(trailer.value.strip())
    return (match["name"].strip(), match["address"]) if match else None


def upstream(body: str) -> str | None:
    """Return the mainline commit that a stable backport says it comes from, or None."""
    for line in body[:_MOST_TEXT].splitlines():
        for pattern in _UPSTREAM:
            if match := pattern.fullmatch(line.strip()):
                return match[1]
    return None
