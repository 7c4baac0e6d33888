"""What comes from a real machine while a candidate is on it: its console, and over SSH what else runs there instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto

from bisectbot.errors import InfraError
from bisectbot.ports import Chunk, Clock, Console, Deadline

LOOK_AFTER = 5.0  # seconds of silence until the machine is looked at over the network
_LAST_WORDS = 5.0  # seconds that init, or a dying kernel, may take to say that it restarts
_LOOK_ANYWAY = 20.0  # before the candidate greeted: however much is printed, by whoever
_LONGEST_LINE = 16 * 1024

# What a kernel, or our init, begins with. Anything before is the old system going down, firmware, a boot loader.
_BEGINNING = re.compile(rb"Linux version |@bb ")
_FACT = re.compile(rb'@bb \d+ [0-9a-f]{8} \{"t":"')
# Words after which a machine is on its way to its firmware.
_LEAVING = re.compile(rb'"t":"done"|Rebooting in \d+ seconds|reboot: (?:Restarting|machine restart)')


class Prologue:
    """Holds back what comes before a kernel speaks, so that the old system's last words aren't taken for it."""

    def __init__(self) -> None:
        self.over = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is the candidate's of these bytes: nothing, until a line of a kernel or of our init begins."""
        if self.over:
            return data
        data = self._rest + data
        if found := _BEGINNING.search(data):
            self.over = True
            return data[data.rfind(b"\n", 0, found.start()) + 1 :]
        self._rest = data[data.rfind(b"\n") + 1 :][-_LONGEST_LINE:]
        return b""


class Sight(Enum):
    """What a look at the machine showed."""

    NOTHING = auto()  # nobody answers, or the candidate does: go on listening
    HOME = auto()  # the known-good system is back


class LabConsole:
    """Fits ports.Console. `look` is asked when the console is silent for a while, `spoken` called at the first word."""

    def __init__(  # noqa: PLR0913  (what it needs from outside, given once by name)
        self,
        recorded: Console,
        *,
        clock: Clock,
        look: Callable[[], Sight],
        stopping: Callable[[], bool],
        spoken: Callable[[], None] = lambda: None,
        cut: float | None = None,
    ) -> None:
        """`cut`: when the recorded console's own time began, on the clock; now, if not given."""
        self.reset = False
        self.spoke = False  # whether a kernel has said anything
        self.leaving = False  # whether it said that it restarts
        self.deaf = False  # whether the console turned out to bring nothing any more
        self._greeted = False
        self.recorded = recorded
        self._clock = clock
        self._look = look
        self._stopping = stopping
        self._spoken = spoken
        self._prologue = Prologue()
        self._heard = self._looked = clock.now()
        self._cut = clock.now() if cut is None else cut
        self._tail = b""

    @property
    def gap(self) -> bool:
        """Whether the console was lost since the boot began."""
        return self.deaf or self.recorded.gap

    def chunks(self, patience: float) -> Iterator[Chunk | None]:
        """Yield what a kernel prints, its time counted from this call on: uploads and checks are no part of a boot.

        Stops when the known-good system is seen to be back. HostSick as `look`.
        """
        before = self._clock.now() - self._cut
        for chunk in self.recorded.chunks(patience):
            if self._stopping():
                raise InfraError("bisectbot is stopping")
            if self.reset and (not chunk or self._clock.now() - self._looked >= LOOK_AFTER):
                return  # all that had come by then is told
            data = self._taken(chunk) if chunk else b""
            if chunk and data:
                yield Chunk(max(0.0, chunk.at - before), data)
            elif self._due():
                # A look takes seconds. What came meanwhile is told next, before anybody takes note of the time.
                self.reset = self._home()
            else:
                yield None

    def goes_home(self) -> bool:
        """Whether the machine restarts by itself; init says so a moment after its last trial, and is listened to."""
        deadline = Deadline.after(self._clock, _LAST_WORDS)
        if not (self.reset or self.leaving):
            for chunk in self.recorded.chunks(_LAST_WORDS / 10):
                if chunk:
                    self._taken(chunk)
                if self.leaving or deadline.passed:
                    break
        return self.reset or self.leaving

    def _taken(self, chunk: Chunk) -> bytes:
        data = self._prologue.feed(chunk.data)
        if data:
            self._heard = self._clock.now()
            if not self.spoke:
                self.spoke = True
                self._spoken()
            self._notice(data)
        return data

    def _notice(self, data: bytes) -> None:
        text = self._tail + data
        self.leaving = self.leaving or bool(_LEAVING.search(text))
        self._greeted = self._greeted or bool(_FACT.search(text))
        self._tail = text[-80:]

    def _due(self) -> bool:
        now = self._clock.now()
        quiet = now - self._heard >= LOOK_AFTER and now - self._looked >= LOOK_AFTER
        return quiet or (not self._greeted and now - self._looked >= _LOOK_ANYWAY)

    def _home(self) -> bool:
        found = self._look()
        self._looked = self._clock.now()
        return found is Sight.HOME
