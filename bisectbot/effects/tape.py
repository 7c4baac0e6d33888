"""Where threads put a console's bytes: kept in a log at once, and handed to whoever watches a boot; bounded."""

from __future__ import annotations

import threading
from collections import deque

from bisectbot.effects.merge import Merge
from bisectbot.errors import BisectbotError, os_fault
from bisectbot.ports import Chunk, Clock, ConsoleLog

_MOST = 4 << 20  # bytes that wait to be watched


class Tape:
    """Shared between threads. `log` is what is written to outside of boots."""

    def __init__(self, log: ConsoleLog, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._merge = Merge()
        self._between = (log, clock.now())
        self._log, self._began = self._between
        self._watched = False
        self._chunks: deque[Chunk] = deque()
        self._size = 0
        self._dropped = 0
        self._fault: BisectbotError | None = None  # of this log
        self._hopeless: BisectbotError | None = None

    # --- who records ---

    def put(self, source: str, data: bytes) -> None:
        """Keep what came from a source; b"" if nothing did for a while. Never waits for who watches."""
        with self._changed:
            self._keep(self._merge.put(source, data, self._clock.now()))

    def end(self, source: str) -> None:
        """Take note that a source is gone: what it left unfinished stays a line of its own."""
        with self._changed:
            self._keep(self._merge.end(source, self._clock.now()))

    def mark(self, text: str) -> None:
        """Write a line of our own, into the log only: it is no sign of life."""
        with self._changed:
            self._keep(self._merge.interrupt(self._clock.now()))
            self._write(Chunk(self._at, f"### bisectbot: {text}\n".encode()))

    def fail(self, fault: BisectbotError) -> None:
        """Hand a fault that stays to who watches; the first one counts."""
        with self._changed:
            self._hopeless = self._hopeless or fault
            self._changed.notify_all()

    # --- who watches ---

    def begin(self, log: ConsoleLog) -> None:
        """Begin a boot: what came before isn't handed out, and all that comes goes to `log`."""
        self._cut(log, self._clock.now(), watched=True)

    def leave(self) -> None:
        """End a boot: `log` isn't used any more."""
        self._cut(*self._between, watched=False)

    def take(self, patience: float) -> Chunk | None:
        """Return what came next, or None after `patience` seconds without anything. A fault of ours is raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._fault or self._hopeless, patience)
            if fault := self._hopeless or self._fault:
                raise fault
            if not self._chunks:
                return None
            if self._dropped:
                return self._left_out()
            chunk = self._chunks.popleft()
            self._size -= len(chunk.data)
            return chunk

    # --- with the lock held ---

    @property
    def _at(self) -> float:
        return self._clock.now() - self._began

    def _cut(self, log: ConsoleLog, began: float, *, watched: bool) -> None:
        with self._changed:
            self._keep(self._merge.interrupt(self._clock.now()))
            self._log, self._began, self._watched = log, began, watched
            self._fault = None
            self._chunks.clear()
            self._size = self._dropped = 0

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        chunk = Chunk(self._at, data)
        self._write(chunk)
        if self._watched:
            self._chunks.append(chunk)
            self._size += len(data)
            while self._size > _MOST:
                self._dropped += len(self._chunks[0].data)
                self._size -= len(self._chunks.popleft().data)
        self._changed.notify_all()

    def _write(self, chunk: Chunk) -> None:
        try:
            self._log.write(chunk)
        except OSError as error:
            self._fault = self._fault or os_fault(error)
        except BisectbotError as error:
            self._fault = self._fault or error
        if self._fault:
            self._changed.notify_all()

    def _left_out(self) -> Chunk:
        text = b"\n### bisectbot: %d bytes came too fast and are left out here\n" % self._dropped
        self._dropped = 0
        return Chunk(self._chunks[0].at, text)
