"""A machine's console, kept for as long as the machine is used: reconnected, time-stamped, complete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bisectbot.effects.replay import LIMIT, replayed
from bisectbot.effects.tape import Tape
from bisectbot.errors import BisectbotError, HostSick, InfraError
from bisectbot.ports import Chunk, Clock, ConsoleLog, Deadline
from bisectbot.reach import Line, Wire
from bisectbot.visible import visible

_LOOK = 0.1  # seconds between two looks whether to stop
_OPEN_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0  # seconds between two tries to get a console back
_STEADY = 10.0  # seconds; a connection that lived so long was a good one
_QUIET = 0.25  # seconds; after a reconnect the history is over when so long nothing came ...
_HISTORY_SECONDS = 1.5  # ... or so much time has passed
_MAIN = "console"


class RecordedConsole:
    """One boot on a recorded machine; fits ports.Console, and never ends by itself."""

    reset = False

    def __init__(self, tape: Tape, losses: Callable[[], int]) -> None:
        self._losses = losses
        self._losses_before = losses()
        self._tape = tape

    @property
    def gap(self) -> bool:
        """Whether the console was lost since the boot began, for however short a while."""
        return self._losses() != self._losses_before

    def chunks(self, patience: float) -> Iterator[Chunk | None]:
        """Yield bytes as they come, None after `patience` seconds without any.

        Raises DiskFull or InfraError if the log can't be written, and what makes listening hopeless.
        """
        while True:
            yield self._tape.take(patience)


class Recorder:
    """Made by recorder(). Any thread may ask; one at a time watches."""

    def __init__(self, line: Line | None, log: ConsoleLog, clock: Clock) -> None:
        self.what = line.what if line else "no console"
        self._line = line
        self._clock = clock
        self._tape = Tape(log, clock)
        self._open = threading.Event()
        self._ever = False
        self._lost_at: float | None = None
        self._losses = 0
        self._why = "not opened yet"
        self._given_up: BisectbotError | None = None
        self._seen = b""

    # --- what can be asked ---

    @property
    def healthy(self) -> bool:
        """Whether the console is listened to right now; a machine without one can't lose it."""
        return self._line is None or self._open.is_set()

    @property
    def losses(self) -> int:
        """How often the console was lost so far: if it differs before and after a boot, its log may have a gap."""
        return self._losses

    @property
    def why(self) -> str:
        """Why the console isn't listened to, as it was told last."""
        return self._why

    def ready(self, deadline: Deadline) -> None:
        """Wait until the console is listened to. HostSick if it isn't in time, or what makes it hopeless."""
        while not self.healthy and self._given_up is None and not deadline.passed:
            self._open.wait(min(_LOOK, deadline.remaining))
        if self._given_up is not None:
            raise self._given_up
        if not self.healthy:
            raise HostSick(f"the console can't be listened to: {self._why}")

    def note(self, text: str) -> None:
        """Write a line of ours into the log, and only there."""
        self._tape.mark(visible(text))

    # --- boots ---

    @contextmanager
    def cut(self, log: ConsoleLog) -> Iterator[RecordedConsole]:
        """Begin a boot: everything from now on goes to `log` and is handed out, until the context is left."""
        self._tape.begin(log)
        try:
            yield RecordedConsole(self._tape, lambda: self.losses)
        finally:
            self._tape.leave()

    @contextmanager
    def adding(self, wire: Wire, what: str) -> Iterator[None]:
        """Merge a further source into the stream, whole lines at a time; leaving stops reading it."""
        with self._thread(lambda stop: self._follow(wire, what, stop), what):
            yield

    @contextmanager
    def _thread(self, work: Callable[[threading.Event], None], what: str) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._guarded, args=(work, stop), name=f"recorder of {what}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _guarded(self, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        try:
            work(stop)
        except Exception as error:  # noqa: BLE001  a thread that dies in silence would look like a silent machine
            self._tape.fail(InfraError(f"the console recorder failed: {error!r}"))

    # --- the console ---

    def _keep(self, stop: threading.Event) -> None:
        """Listen for ever, and again whenever the connection is lost."""
        pause = _FIRST_PAUSE
        while self._line is not None and self._given_up is None and not stop.is_set():
            began = self._clock.now()
            self._listen(self._line, stop)
            pause = _FIRST_PAUSE if self._clock.now() - began >= _STEADY else min(pause * 2, _LONGEST_PAUSE)
            stop.wait(pause)

    def _listen(self, line: Line, stop: threading.Event) -> None:
        try:
            with line.open(Deadline.after(self._clock, _OPEN_SECONDS)) as wire:
                self._came_back(wire)
                self._drain(wire, _MAIN, stop)
            self._why = "it ended"
        except BisectbotError as error:
            self._why = visible(str(error), 200)
            if not isinstance(error, InfraError) or error.lasting:
                self._given_up = error
                self._tape.fail(error)
        if not stop.is_set():
            self._lost()

    def _came_back(self, wire: Wire) -> None:
        if self._lost_at is not None:
            self._tape.mark(f"console back after {self._clock.now() - self._lost_at:.1f} s: {self.what}")
        if self._ever:
            self._take_up(wire)
        self._ever, self._lost_at = True, None
        self._open.set()

    def _take_up(self, wire: Wire) -> None:
        """Leave out what a server with a history says again: it would look like another boot."""
        until = self._clock.now() + _HISTORY_SECONDS
        fresh = b""
        while len(fresh) < LIMIT and self._clock.now() < until and (data := wire.read(_QUIET)):
            fresh += data
        known = replayed(self._seen, fresh)
        if known:
            self._tape.mark(f"{known} bytes that were said again are left out here")
        self._heard(_MAIN, fresh[known:])

    def _lost(self) -> None:
        self._open.clear()
        if self._lost_at is not None:
            return  # told already
        self._lost_at = self._clock.now()
        self._losses += self._ever
        self._tape.end(_MAIN)
        self._tape.mark(f"console {'lost' if self._ever else 'not there'}: {self.what}: {self._why}")

    # --- every source ---

    def _follow(self, wire: Wire, what: str, stop: threading.Event) -> None:
        try:
            self._drain(wire, what, stop)
        except BisectbotError as error:
            self._tape.mark(f"{what} ended: {visible(str(error), 200)}")
        self._tape.end(what)

    def _drain(self, wire: Wire, source: str, stop: threading.Event) -> None:
        while not stop.is_set() and (data := wire.read(_LOOK)) != b"":
            self._heard(source, data or b"")

    def _heard(self, source: str, data: bytes) -> None:
        if data and source == _MAIN:
            self._seen = (self._seen + data)[-LIMIT:]
        self._tape.put(source, data)


@contextmanager
def recorder(line: Line | None, log: ConsoleLog, clock: Clock) -> Iterator[Recorder]:
    """Keep a machine's console while the context lasts; what comes outside of boots goes to `log`."""
    keeping = Recorder(line, log, clock)
    with keeping._thread(keeping._keep, keeping.what):  # noqa: SLF001  the other half of the class
        yield keeping
