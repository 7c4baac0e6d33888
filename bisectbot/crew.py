"""Who works for the loop, writes down and follows along, as Protocols; and what they are handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bisectbot.errors import InfraError
from bisectbot.facts import Fact, Row, State
from bisectbot.lab import Homed
from bisectbot.model import BuildBroken, Kernel, Trial
from bisectbot.search.wanted import Wanted


@dataclass(frozen=True)
class BootAsk:
    """One boot: which kernel, its number in the session, and how many clean trials there are to be at the most."""

    kernel: Kernel
    boot: int
    runs: int


@dataclass(frozen=True)
class Work:
    """What a slot is doing."""

    stage: str  # "build", "boot" or "revert"
    commit: str
    since: float  # seconds on the clock


class Stages(Protocol):
    """The work of the slots; each call blocks and runs in a thread of its slot."""

    def build(self, commit: str, on_fault: Callable[[InfraError], None]) -> Kernel | BuildBroken:
        """Build a commit, or take it from the store; a passing fault is told and tried again, the last one raised."""
        ...

    def boot(self, ask: BootAsk, tell: Callable[[Trial | Homed], None], on_fault: Callable[[InfraError], None]) -> None:
        """Boot a kernel, run the trials and tell each as it ends, and how a real machine came home."""
        ...

    @property
    def leavable(self) -> bool:
        """Whether a boot can be left at any moment for little."""
        ...

    def leave(self, boot: int) -> None:
        """Let the boot with this number end soon; what had ended by then has been told."""
        ...

    def revert(self, bad: str, culprit: str) -> str | None:
        """Return the commit that takes `culprit` back on top of `bad`; None if that doesn't go cleanly."""
        ...

    def ready(self, built: Kernel | BuildBroken) -> bool:
        """Whether a build of an earlier process is still there to be booted."""
        ...

    def silence(self, stage: str) -> float:
        """Return the seconds after which a stage that has told nothing is stuck: all of its own deadlines are over."""
        ...

    def stop(self) -> None:
        """End every child process; calls in other threads come back with an InfraError."""
        ...


class Facts(Protocol):
    """The journal, as far as the loop needs it."""

    def append(self, at: float, fact: Fact, tick: float | None = None) -> Row:
        """Write one fact durably; `at` and `tick` as facts.Row has them."""
        ...


class Show(Protocol):
    """Who follows along: a terminal, a log, the report."""

    def began(self, work: Work) -> None:
        """A slot started to work."""
        ...

    def happened(self, state: State, row: Row) -> None:
        """A fact was written."""
        ...

    def expects(self, state: State, wanted: Wanted) -> None:
        """That is what the search asks for now, and how much more it thinks to need."""
        ...
