r"""What our init prints on the console, read back: one `@bb <seq> <crc32> <JSON>` line per fact.

Kernel messages cut into the lines of user space and user space into nothing of ours, so a line that isn't intact is no
fact, and one with kernel text before or behind it still is. The CRC doesn't cover `seq`: repeats are told by
their content wherever a fact can be true only once a boot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

MARK = b"@bb "
MAX_LINE = 16 * 1024  # bytes; init's longest line has 1000 bytes of output, six times that when all of it is escaped
_MAX_MARKS = 16  # in one line; more is rubbish, and looking at each would take quadratic time

# The JSON objects are flat, so strings are all that can hold a brace. Possessive: rubbish must fail at once.
_FACT = re.compile(rb'(\d{1,9}) ([0-9a-f]{8}) (\{(?:[^"{}]|"(?:[^"\\]|\\.)*+")*+\})')


class How(StrEnum):
    """How a run of the reproducer ended."""

    EXIT = "exit"
    SIGNAL = "signal"
    LIMIT = "limit"  # init killed it for running too long
    EXEC = "exec"  # it could not be executed


@dataclass(frozen=True)
class Ready:
    """The kernel runs our init; `token` is the one on its command line."""

    version: int
    release: str
    machine: str
    token: str
    cpus: int


@dataclass(frozen=True)
class Start:
    """A trial begins; they count from 1."""

    trial: int


@dataclass(frozen=True)
class Beat:
    """The kernel still schedules `seconds` into a trial."""

    trial: int
    seconds: int


@dataclass(frozen=True)
class Out:
    """A line that the reproducer printed on file descriptor `fd`."""

    trial: int
    fd: int
    line: str


@dataclass(frozen=True)
class OutCut:
    """The reproducer printed more than is relayed; the rest of the trial's output is missing."""

    trial: int


@dataclass(frozen=True)
class End:
    """A trial ended: `code` is an exit code, a signal or an errno, as `how` says; it took `ms` milliseconds."""

    trial: int
    how: How
    code: int
    ms: int


@dataclass(frozen=True)
class Done:
    """All trials of this boot ended; the machine reboots now."""


Fact = Ready | Start | Beat | Out | OutCut | End | Done


@dataclass(frozen=True)
class Found:
    """An intact fact in a line: its bytes are `line[start:end]`."""

    start: int
    end: int
    seq: int
    text: bytes
    fact: Fact


def find(line: bytes) -> Iterator[Found]:
    """Yield the intact facts of one line, in order; they never overlap."""
    at = 0
    for _ in range(_MAX_MARKS):
        start = line.find(MARK, at)
        if start < 0:
            return
        at = start + len(MARK)
        found = _intact(line, start)
        if found is not None:
            yield found
            at = found.end


def _intact(line: bytes, start: int) -> Found | None:
    match = _FACT.match(line, start + len(MARK), start + MAX_LINE)
    if match is None or crc32(match[3]) != int(match[2], 16):
        return None
    fact = _fact(match[3])
    return None if fact is None else Found(start, match.end(), int(match[1]), match[3], fact)


def _fact(text: bytes) -> Fact | None:
    """Return what the JSON says; None for what this version doesn't know."""
    try:
        fields = json.loads(text)
        return _MAKE[fields["t"]](_Fields(fields))
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class _Fields:
    """The JSON object of a fact; wrong types raise TypeError, what is missing and needed raises KeyError."""

    of: dict[str, object]

    def number(self, key: str, default: int | None = None) -> int:
        value = self.of[key] if default is None else self.of.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(key)
        return value

    def text(self, key: str) -> str:
        value = self.of[key]
        if not isinstance(value, str):
            raise TypeError(key)
        return value


_MAKE: dict[object, Callable[[_Fields], Fact]] = {
    "ready": lambda of: Ready(
        of.number("v"), of.text("release"), of.text("machine"), of.text("token"), of.number("cpus")
    ),
    "start": lambda of: Start(of.number("trial")),
    "beat": lambda of: Beat(of.number("trial"), of.number("s")),
    "out": lambda of: Out(of.number("trial"), of.number("fd"), of.text("line")),
    "out-cut": lambda of: OutCut(of.number("trial", 0)),
    "end": lambda of: End(of.number("trial"), How(of.text("how")), of.number("code", 0), of.number("ms", 0)),
    "done": lambda _: Done(),
}


class GuestReader:
    """Finds the facts in a stream of console bytes; feed it what comes, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._seen: set[tuple[int, bytes]] = set()

    def feed(self, data: bytes) -> list[Fact]:
        """Return the facts that `data` completes, in order, each once."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-MAX_LINE:]
        return [found.fact for line in lines for found in find(line) if self._is_new(found)]

    def _is_new(self, found: Found) -> bool:
        # A damaged sequence number must not hide a later fact, nor show the same one twice.
        key = (found.seq if isinstance(found.fact, Out) else 0, found.text)
        new = key not in self._seen
        self._seen.add(key)
        return new
