"""Asked to stop by a signal: the first one in good order, the second one at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from bisectbot.flight import EVER, GRACE
from bisectbot.loop import Stop

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Asked:
    """Turns signals into a Stop for `tell`, as long as its context lasts; a KeyboardInterrupt where that won't do.

    Somebody at the terminal is there to see a real machine being brought home; whoever else asks gets it done soon, and
    the machine comes home when the session is resumed.
    """

    tell: Callable[[Stop], None] | None = None  # None: nobody listens yet, or it was asked before

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._stop) for number in _STOPPING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        tell, self.tell = self.tell, None
        if tell is None:
            raise KeyboardInterrupt
        tell(Stop(signal.Signals(number).name, EVER if number == signal.SIGINT else GRACE))
