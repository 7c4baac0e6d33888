"""When to try again, through tenacity: our own faults only, a few times, with growing pauses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from bisectbot.errors import InfraError

_Result = TypeVar("_Result")


class Patience:
    """Repeats a piece of work while it fails for a passing fault of ours; any number of threads may share it."""

    def __init__(self, attempts: int = 3, first_wait: float = 2.0, longest_wait: float = 60.0) -> None:
        """`attempts` in all; pauses in seconds, doubling from `first_wait`."""
        self._stopping = threading.Event()
        self._attempts = attempts
        self._wait = tenacity.wait_exponential(multiplier=first_wait, max=longest_wait)

    def call(self, work: Callable[[], _Result], on_fault: Callable[[InfraError], None]) -> _Result:
        """Return what `work` returns, telling every fault; the last one is raised."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passing),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._attempts), tenacity.stop_when_event_set(self._stopping)
            ),
            wait=self._wait,
            sleep=tenacity.sleep_using_event(self._stopping),
            before_sleep=lambda state: _tell(state, on_fault),
            reraise=True,
        )
        return retrying(work)

    def stop(self) -> None:
        """End all pauses and let nothing be tried again."""
        self._stopping.set()


def _passing(error: BaseException) -> bool:
    return isinstance(error, InfraError) and not error.lasting


def _tell(state: tenacity.RetryCallState, on_fault: Callable[[InfraError], None]) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, InfraError):
        on_fault(error)
