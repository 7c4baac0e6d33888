"""The whole bot on one screen: slots, work in flight, events.

Each turn: ask the search what it wants given all that is known, start what an idle slot can do of it, wait
for one event, write it down. Work runs in threads; this thread alone decides and alone writes the journal.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from bisectbot.errors import InfraError, ToolMissing
from bisectbot.facts import (
    Answered,
    BootBegan,
    Built,
    CameHome,
    Fact,
    Faulted,
    Paused,
    Reverted,
    Row,
    State,
    Tried,
    apply,
)
from bisectbot.lab import Homed
from bisectbot.model import Answer, BuildBroken, Ending, Kernel, Trial
from bisectbot.ports import Clock
from bisectbot.search.wanted import Search, Test, Wanted


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

    def stop(self) -> None:
        """End every child process; calls in other threads come back with an InfraError."""
        ...


class Facts(Protocol):
    """The journal, as far as the loop needs it."""

    def append(self, at: float, fact: Fact) -> Row:
        """Write one fact durably."""
        ...


class Show(Protocol):
    """Who follows along: a terminal, a log, the report."""

    def began(self, work: Work) -> None:
        """A slot started to work."""
        ...

    def happened(self, state: State, fact: Fact) -> None:
        """A fact was written."""
        ...

    def expects(self, state: State, wanted: Wanted) -> None:
        """That is what the search asks for now, and how much more it thinks to need."""
        ...


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


@dataclass(frozen=True)
class Done:
    """A slot is idle again; `error` if it failed for good."""

    work: Work
    error: BaseException | None = None


@dataclass(frozen=True)
class Stop:
    """Somebody wants the session to stop, and why."""

    why: str


Event = Fact | Done | Stop


@dataclass
class Bot:
    """Runs one session to an answer or a pause."""

    state: State
    search: Search
    stages: Stages
    facts: Facts
    clock: Clock
    show: Show
    slots: dict[str, Executor]  # "build" and "boot", one thread each
    # a SimpleQueue may be put into from a signal handler
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    flight: dict[str, Work] = field(default_factory=dict)  # by stage
    left: bool = False  # whether the boot that is in flight was asked to end

    def run(self) -> State:
        """Return the state at the end: answered or paused. A programming error in a slot is raised as it is."""
        while not (self.state.answered or self.state.paused):
            self._turn()
        return self.state

    def _turn(self) -> None:
        decision = self.search.decide(self.state, self._booted)
        if not isinstance(decision, Wanted):
            self._finish(decision)
            return
        if self._seconds_left == 0:
            self._pause_work()
            self._write(Paused("budget", "the time that it was given is over"))
            return
        if decision.revert is not None:
            self._revert(decision.revert)
            return
        self.show.expects(self.state, decision)
        self._start(decision)
        self._wait()

    def _finish(self, answer: Answer) -> None:
        """Answer, once no kernel is up that could still speak against it: until then what it says is waited for."""
        if "boot" in self.flight:
            self._leave()
            self._note(self.events.get())
            return
        self._pause_work()
        self._write(Answered(answer, self.search.log()))

    def _leave(self) -> None:
        """Let the boot that is in flight end soon, if it can."""
        if not self.left:
            self.left = True
            self.stages.leave(self.state.boots)

    def _revert(self, culprit: str) -> None:
        """Take the culprit back on the bad end. A git that can't leaves the check out, and the report says so."""
        try:
            fact = Reverted(culprit, self.stages.revert(self.state.plan.range_.bad, culprit))
        except ToolMissing as error:
            fact = Reverted(culprit, None, str(error))
        except InfraError as error:
            self._failed(Work("revert", culprit, self.clock.now()), error)
            return
        self._write(fact)

    @property
    def _booted(self) -> str | None:
        """The commit whose kernel is up, if its runs can go on for as long as they are wanted."""
        flying = self.flight.get("boot")
        return flying.commit if flying and self.stages.leavable and not self.left else None

    @property
    def _seconds_left(self) -> float | None:
        """Seconds of the budget; None without one."""
        search = self.state.plan.search
        if search is None or search.max_seconds is None:
            return None
        return max(0.0, search.max_seconds - self.state.spell - max(0.0, self.clock.wall() - self.state.latest))

    def _wait(self) -> None:
        """Note the next event, and all that have come by then: what happened together is decided on together."""
        with suppress(queue.Empty):  # the budget is over
            self._note(self.events.get(timeout=self._seconds_left))
        while not self.state.paused and not self.events.empty():
            self._note(self.events.get())

    def _start(self, wanted: Wanted) -> None:
        """Give idle slots the first thing of theirs that is wanted; a boot that isn't wanted any more is left."""
        now, *_ = wanted.tests
        flying = self.flight.get("boot")
        if flying and (now.fresh or flying.commit != now.commit):
            self._leave()
        for test in wanted.tests:
            built = self.state.builds.get(test.commit)
            if built is None or not self.stages.ready(built):
                self._fly("build", test.commit, self._build_job(test.commit))
            elif isinstance(built, Kernel) and test == now and "boot" not in self.flight:
                self._boot(built, test)

    def _boot(self, kernel: Kernel, test: Test) -> None:
        ask = BootAsk(kernel, self.state.boots + 1, test.runs)
        self.left = False
        self._write(BootBegan(kernel.commit, ask.boot))
        self._fly("boot", kernel.commit, self._boot_job(ask))

    def _build_job(self, commit: str) -> Callable[[], None]:
        def job() -> None:
            self.events.put(Built(self.stages.build(commit, self._on_fault("build", commit))))

        return job

    def _boot_job(self, ask: BootAsk) -> Callable[[], None]:
        def job() -> None:
            on_fault = self._on_fault("boot", ask.kernel.commit)
            self.stages.boot(ask, lambda told: self.events.put(_boot_fact(ask, told)), on_fault)

        return job

    def _on_fault(self, stage: str, commit: str) -> Callable[[InfraError], None]:
        return lambda error: self.events.put(Faulted(commit, stage, str(error)))

    def _fly(self, stage: str, commit: str, job: Callable[[], None]) -> None:
        if stage in self.flight:
            return
        work = Work(stage, commit, self.clock.now())
        self.flight[stage] = work
        self.show.began(work)
        future = self.slots[stage].submit(job)
        future.add_done_callback(lambda done: self.events.put(Done(work, done.exception())))

    def _note(self, event: Event) -> None:
        match event:
            case Done(work, error):
                del self.flight[work.stage]
                if error is not None:
                    self._failed(work, error)
            case Stop(why):
                self._pause_work()
                self._write(Paused("interrupted", why))
            case _:
                # any run but a silent one ends the boot
                self.left |= isinstance(event, Tried) and event.trial.ending is not Ending.CLEAN
                self._write(event)

    def _failed(self, work: Work, error: BaseException) -> None:
        """A fault that lasts stops the session; it never becomes a verdict."""
        self._pause_work()
        if not isinstance(error, InfraError):
            raise error
        self._write(Faulted(work.commit, work.stage, str(error)))
        self._write(Paused("fault", f"{work.stage} of {work.commit[:12]}: {error}"))

    def _pause_work(self) -> None:
        """End what is in flight; trials that had ended by then are still written down."""
        if self.flight:
            self.stages.stop()
        while self.flight:
            event = self.events.get()
            if isinstance(event, Done):
                del self.flight[event.work.stage]
            elif isinstance(event, Built | Tried | CameHome):
                self._write(event)

    def _write(self, fact: Fact) -> None:
        row = self.facts.append(self.clock.wall(), fact)
        self.state = apply(self.state, row)
        self.show.happened(self.state, fact)


def _boot_fact(ask: BootAsk, told: Trial | Homed) -> Fact:
    return Tried(told) if isinstance(told, Trial) else CameHome(ask.kernel.commit, ask.boot, told)
