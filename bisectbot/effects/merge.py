"""Several sources of console bytes made one stream, in which none cuts into another's line. Pure, and bounded.

Who is in the middle of a line is written through at once, and the others wait until the line ends. A prompt never
does, so after HOLD seconds it is ended for it.
"""

from __future__ import annotations

HOLD = 1.0  # seconds; at 9600 baud a line of 300 bytes takes a third of it
_MOST = 1 << 16  # bytes that wait


class Merge:
    """One stream."""

    def __init__(self) -> None:
        self._owner: str | None = None  # who is in the middle of a line
        self._waiting: dict[str, bytes] = {}  # of the others; empty while nobody owns the stream
        self._since: float | None = None  # when the first of them began to wait

    def put(self, source: str, data: bytes, now: float) -> bytes:
        """Take what came from a source (b"": time went by); return what comes next in the stream."""
        self._waiting[source] = self._waiting.get(source, b"") + data
        return self._advance(now)

    def end(self, source: str, now: float) -> bytes:
        """Take note that a source ended, maybe in the middle of a line; return what comes next in the stream."""
        if source == self._owner:
            self._owner = None
            return b"\n" + self._advance(now)
        if (left := self._waiting.get(source, b"")) and not left.endswith(b"\n"):
            self._waiting[source] = left + b"\n"
        return self._advance(now)

    def interrupt(self, now: float) -> bytes:
        """Return what ends the line that the stream is in, b"" if it isn't in one."""
        return self.end(self._owner, now) if self._owner is not None else b""

    def _advance(self, now: float) -> bytes:
        out = self._of_owner(now)
        if self._owner is None:
            out += b"".join(self._whole_lines(source) for source in list(self._waiting)) + self._next_owner()
        self._waiting = {source: data for source, data in self._waiting.items() if data}
        self._since = None if not self._waiting else now if self._since is None else self._since
        return out

    def _of_owner(self, now: float) -> bytes:
        if self._owner is None:
            return b""
        head, newline, tail = self._waiting.pop(self._owner, b"").rpartition(b"\n")
        if newline:
            self._waiting = {self._owner: tail, **self._waiting}
            self._owner = None
        elif self._overdue(now):
            self._owner, newline = None, b"\n"
            return tail + newline
        return head + newline if newline else tail

    def _overdue(self, now: float) -> bool:
        waited = self._since is not None and now - self._since >= HOLD
        return waited or sum(map(len, self._waiting.values())) > _MOST

    def _whole_lines(self, source: str) -> bytes:
        head, newline, self._waiting[source] = self._waiting[source].rpartition(b"\n")
        return head + newline

    def _next_owner(self) -> bytes:
        self._owner = next((source for source, data in self._waiting.items() if data), None)
        return self._waiting.pop(self._owner) if self._owner is not None else b""
