"""Work in flight: what each slot is doing, when it was last heard of, and which of it is stuck."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from bisectbot.crew import Work
from bisectbot.facts import CameHome, Fact, Faulted, Tried
from bisectbot.ports import Clock, Deadline

EVER = float("inf")  # seconds
GRACE = 8.0  # seconds for what was asked to end; whoever sends SIGTERM rarely waits for more than ten


@dataclass(frozen=True)
class Done:
    """A slot is idle again; `error` if it failed for good."""

    work: Work
    error: BaseException | None = None


@dataclass
class Flight:
    """One thing at a time in each slot; truth is false while nothing is in flight."""

    slots: dict[str, Executor]  # "build" and "boot", one thread each
    clock: Clock
    works: dict[str, Work] = field(default_factory=dict)  # by stage
    abandoned: bool = False  # whether work wouldn't end: its thread is still there
    _heard: dict[str, float] = field(default_factory=dict)  # by stage: when it last told something

    def __bool__(self) -> bool:
        return bool(self.works)

    @property
    def boot(self) -> Work | None:
        """The boot that is on."""
        return self.works.get("boot")

    def start(self, work: Work, job: Callable[[], None], landed: Callable[[Done], None]) -> None:
        """Give an idle slot something to do; `landed` is called from its thread when that is over."""
        self.works[work.stage], self._heard[work.stage] = work, work.since
        future = self.slots[work.stage].submit(job)
        future.add_done_callback(lambda done: landed(Done(work, done.exception())))

    def over(self, done: Done) -> None:
        """Take note that a slot is idle again."""
        self.works.pop(done.work.stage, None)

    def hear(self, fact: Fact) -> None:
        """Take note of which stage a fact is a sign of life of."""
        match fact:
            case Tried() | CameHome():
                self._heard["boot"] = self.clock.now()
            case Faulted(_, stage):
                self._heard[stage] = self.clock.now()
            case _:
                pass

    def silent(self, work: Work) -> float:
        """Return the seconds since work told something."""
        return self.clock.now() - self._heard[work.stage]

    def stuck(self, longest: Callable[[str], float]) -> Work | None:
        """Return work that has told nothing for longer than its stage can take."""
        late = (work for work in self.works.values() if self.silent(work) > longest(work.stage))
        return next(late, None)

    def hurry(self, late: Deadline, longest: Callable[[str], float]) -> Deadline:
        """Abandon what is in flight once it is `late`; return until when it still has time: not long if it is stuck."""
        if late.passed:
            self.works.clear()
            self.abandoned = True
        elif late.at == EVER and self.stuck(longest):
            return Deadline.after(self.clock, GRACE)
        return late
