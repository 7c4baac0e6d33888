"""Datagrams of netconsole put together to the lines that a serial console would show. Pure, and bounded.

Two formats (Documentation/networking/netconsole.rst, Documentation/ABI/testing/dev-kmsg): plain text as the console
prints it, and "[RELEASE,]LEVEL,SEQ,USEC,FLAGS[,KEY=VALUE...];TEXT", where long messages come in several datagrams
with ncfrag=OFFSET/TOTAL and SEQ shows what was lost.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

_HEADER = re.compile(
    rb"(?:[^,;\s]{1,64},)?\d{1,4},(?P<seq>\d{1,18}),(?P<usec>\d{1,18}),[-c+](?P<more>(?:,[\w-]{1,16}=[^,;\s]{0,64}){0,8});"
)
_FRAGMENT = re.compile(rb",ncfrag=(\d{1,6})/(\d{1,6})")
_CALLER = re.compile(rb",caller=([TC]\d{1,10})")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_MISSING = b"### bisectbot: a part is missing ###"
_LONGEST = 8192  # bytes of a message; the kernel's own limit is 1024 of text and as much of a dictionary
_MOST_OPEN = 4  # messages of which parts are missing
_REMEMBERED = 256  # sequence numbers, to know a datagram that came twice
_BACK_IN_TIME = 1_000_000  # microseconds; datagrams that overtake each other do so by far less


@dataclass
class _Parts:
    """A message that comes in several datagrams."""

    header: re.Match[bytes]
    total: int
    pieces: dict[int, bytes] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return sum(map(len, self.pieces.values())) >= self.total

    @property
    def text(self) -> bytes:
        text, at = b"", 0
        for offset, piece in sorted(self.pieces.items()):
            text += (_MISSING if offset > at else b"") + piece
            at = offset + len(piece)
        return text if at >= self.total else text + _MISSING


class NetReader:
    """What one machine sends."""

    def __init__(self) -> None:
        self._open: dict[int, _Parts] = {}
        self._last: int | None = None
        self._usec = 0
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)

    def feed(self, datagram: bytes) -> bytes:
        """Return the lines that a datagram completes; what isn't in the extended format comes back as it is."""
        header = _HEADER.match(datagram)
        if header is None:
            return datagram
        text = datagram[header.end() :]
        fragment = _FRAGMENT.search(header["more"])
        if fragment is None:
            return self._message(header, text)
        return self._part(header, int(fragment[1]), int(fragment[2]), text)

    def flush(self) -> bytes:
        """Return what there is of the messages whose parts did not all come."""
        return b"".join(self._give_up(seq) for seq in list(self._open))

    def _part(self, header: re.Match[bytes], offset: int, total: int, text: bytes) -> bytes:
        if not (offset < total <= _LONGEST and offset + len(text) <= total):
            return self._message(header, text)
        seq = int(header["seq"])
        parts = self._open.setdefault(seq, _Parts(header, total))
        parts.pieces[offset] = text
        if parts.whole:
            return self._give_up(seq)
        return self._give_up(next(iter(self._open))) if len(self._open) > _MOST_OPEN else b""

    def _give_up(self, seq: int) -> bytes:
        parts = self._open.pop(seq)
        return self._message(parts.header, parts.text)

    def _message(self, header: re.Match[bytes], text: bytes) -> bytes:
        seq, usec = int(header["seq"]), int(header["usec"])
        if usec < self._usec - _BACK_IN_TIME:  # another kernel, which counts from the beginning
            self._last = None
            self._seen.clear()
        elif seq in self._seen:
            return b""
        self._seen.append(seq)
        lost = self._lost(seq, usec)
        return lost + b"".join(_stamp(usec, header["more"]) + line + b"\n" for line in _lines(text))

    def _lost(self, seq: int, usec: int) -> bytes:
        """Return a line that tells how many messages are missing before this one; late ones come out of order."""
        before, overtaken = self._last, self._last is not None and seq < self._last
        if not overtaken:
            self._last, self._usec = seq, usec
        if before is None or overtaken or seq == before + 1:
            return b""
        return b"### bisectbot: netconsole lost %d messages here\n" % (seq - before - 1)


def _stamp(usec: int, more: bytes) -> bytes:
    caller = _CALLER.search(more)
    return b"[%5d.%06d]" % divmod(usec, 1_000_000) + (b"[%6s] " % caller[1] if caller else b" ")


def _lines(text: bytes) -> list[bytes]:
    """Return a message's lines; what follows the first line end is its dictionary, " KEY=VALUE"."""
    first = text.partition(b"\n")[0]
    return _ESCAPED.sub(lambda escaped: bytes.fromhex(escaped[1].decode()), first).split(b"\n")
