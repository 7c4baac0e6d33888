r"""Console bytes to the lines that the kernel printed, with everything that stands in front of their text taken off.

Kernel and programs write to one console, and a line of one may begin within a line of the other. A kernel that stamps
its lines with the time can be told from a program by that, so once one did, a line without a stamp isn't the
kernel's. Bounded: a line of 16 KiB is cut and goes on as the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bisectbot.console.guest import MARK, find

MAX_LINE = 16 * 1024  # bytes

_OUR_STAMP = re.compile(rb"\[\+\d{4,9}\.\d{3}\] ")  # seconds since power-on, in the logs that we save
_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_UNPRINTABLE = bytes({*range(32), *range(127, 256)} - {ord("\t")})

# What may stand before the kernel's own prefix: the log daemon's ("Nov  2 15:04:05 host kernel: "), dmesg -x's.
_DAEMON = re.compile(
    r"(?:\w{3} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S{1,40}) \S{1,80} kernel: |(?:kern|user) *:\w{1,8} *: "
)
_TIME = r"\[ *\d{1,10}\.\d{6}\]|\[\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\]"  # the second form is dmesg -T's
_CALLER = r"\[ *[TC]\d{1,10}\]"
_PREFIX = re.compile(rf"(?:<\d{{1,3}}>)?(?P<time>{_TIME})?(?P<caller>{_CALLER})?")
_PREFIX_WITHIN = re.compile(rf"(?:<\d{{1,3}}>)?\[ *\d{{1,10}}\.\d{{6}}\](?:{_CALLER})? ")
_PREFIX_REST = re.compile(rf" *(?:\d*\.\d{{6}}|\d{{3,6}})\](?:{_CALLER})? ")  # of a stamp whose beginning was lost

_OUT_FACT = '"t":"out"'
# How reports begin: all there is to find them by within a fact, if the kernel doesn't stamp its lines.
_REPORT = re.compile(
    r"Kernel panic|BUG: |WARNING: |kernel BUG|Oops|Internal error|Unable to handle|general protection|invalid opcode|"
    r"INFO: |UBSAN: |watchdog: |rcu: |---+\["
)


@dataclass(frozen=True)
class Line:
    """A line of the kernel's: `number` of the log's line from 1, `caller` as CONFIG_PRINTK_CALLER shows it."""

    number: int
    text: str
    caller: str = ""
    time: str = ""  # the kernel's stamp, as it stands there
    cut: bool = False  # its beginning or end is missing


@dataclass(frozen=True)
class _Piece:
    text: str
    cut: bool


class LineReader:
    """Yields the kernel's lines of a byte stream, fed in pieces of any size."""

    def __init__(self) -> None:
        self.printable = False  # whether anything at all was printed
        self._rest = b""
        self._number = 0
        self._within = False  # whether the line goes on that was cut for its length
        self._stamped: bool | None = None  # whether this kernel stamps its lines; None: not known yet

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that `data` completes."""
        *whole, rest = (self._rest + data).split(b"\n")
        for raw in whole:
            yield from self._lines(raw)
            self._within = False
        keep = (len(rest) - 1) // MAX_LINE * MAX_LINE if rest else 0
        self._rest = rest[keep:]
        if keep:
            yield from self._lines(rest[:keep])

    def finish(self) -> Iterator[Line]:
        """Yield what stands behind the last newline."""
        rest, self._rest = self._rest, b""
        if rest:
            yield from self._lines(rest)

    def _lines(self, raw: bytes) -> Iterator[Line]:
        for at in range(0, max(len(raw), 1), MAX_LINE):
            self._number += not self._within
            self._within = True
            yield from self._parts(raw[at : at + MAX_LINE])

    def _parts(self, raw: bytes) -> Iterator[Line]:
        for piece in pieces(raw):
            if not piece.text or piece.text.isspace():
                continue
            self.printable = True
            line = self._kernels(piece)
            if line is not None:
                yield line

    def _kernels(self, piece: _Piece) -> Line | None:
        """Return the kernel's line in a piece, or None if it isn't the kernel's."""
        text = piece.text
        if (" kernel: " in text or text.startswith(("kern", "user"))) and (daemon := _DAEMON.match(text)):
            text = text[daemon.end() :]
        time, caller, body = _off_prefix(text)
        if piece.cut and (not body or body.isspace()):
            return None
        if self._believes(stamped=bool(time), body=body):
            return Line(self._number, body, caller, time, piece.cut)
        rest = _PREFIX_REST.match(text)
        return Line(self._number, text[rest.end() :], cut=True) if rest else None

    def _believes(self, *, stamped: bool, body: str) -> bool:
        """Whether a line is the kernel's, by its stamp; learns on the way whether this kernel stamps."""
        if self._stamped is None or (stamped and body.startswith("Linux version ")):
            self._stamped = stamped or (False if body.startswith("Linux version ") else None)
        # Unstamped and with a JSON object's end: the rest of a fact that the kernel cut into.
        return stamped or (not self._stamped and not (body.endswith("}") and '"' in body))


def _off_prefix(text: str) -> tuple[str, str, str]:
    """Return a line's time, caller and text; the first two are empty where the kernel doesn't print them."""
    match = _PREFIX.match(text)
    if match is None or not match.end():
        return "", "", text
    body = text[match.end() :].removeprefix(" ")
    return match["time"] or "", (match["caller"] or "").strip("[] "), body


def pieces(raw: bytes) -> Iterator[_Piece]:
    """Yield what stands on one line of the console: the kernel's text may begin anywhere within it."""
    stamp = _OUR_STAMP.match(raw)
    raw = raw[stamp.end() :] if stamp else raw
    for part in raw.split(b"\r") if b"\r" in raw else (raw,):
        if MARK.rstrip() in part:
            yield from _around_facts(part)
        else:
            yield from _split(_plain(part))


def _around_facts(raw: bytes) -> Iterator[_Piece]:
    """Yield what isn't ours: what a program printed, relayed in a fact, must never be read as the kernel's."""
    at = 0
    for found in find(raw):
        yield from _split(_plain(raw[at : found.start]), cut=True)
        at = found.end
    yield from _split(_plain(raw[at:]))


def _plain(raw: bytes) -> str:
    if b"\x1b" in raw:
        raw = _ESCAPE.sub(b"", raw)
    return raw.translate(None, _UNPRINTABLE).decode("ascii")


def _split(text: str, *, cut: bool = False) -> Iterator[_Piece]:
    """Yield a line's parts, each from one time stamp to the next; what another line broke into is cut."""
    part, *broken = text.split("@bb")
    yield from _at_stamps(part, cut=cut or bool(broken))
    for fact in broken:
        yield from _behind_broken_fact(fact)


def _at_stamps(text: str, *, cut: bool) -> Iterator[_Piece]:
    at = 0
    for stamp in _PREFIX_WITHIN.finditer(text, 1):
        yield _Piece(text[at : stamp.start()], cut=True)
        at = stamp.start()
    yield _Piece(text[at:], cut)


def _behind_broken_fact(text: str) -> Iterator[_Piece]:
    """Yield the kernel's text that broke into a fact of ours.

    It ends with the line. So in a fact that has its own end on this line, nothing is the kernel's; where a program's
    output stands in it, only what begins with the last time stamp can be.
    """
    stamps = list(_PREFIX_WITHIN.finditer(text))
    if _OUT_FACT in text:
        stamps = [] if text.endswith('"}') else stamps[-1:]
    elif not stamps and (report := _REPORT.search(text)):
        yield _Piece(text[report.start() :], cut=True)
    if stamps:
        yield from _at_stamps(text[stamps[0].start() :], cut=False)
