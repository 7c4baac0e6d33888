"""The whole bot on one screen: slots, work in flight, events.

Each turn: ask the search what it wants given all that is known, start what an idle slot can do of it, wait
for one event, write it down. Work runs in threads; this thread alone decides and alone writes the journal.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import InitVar, dataclass, field, replace

from bisectbot.course import Course
from bisectbot.crew import BootAsk, Facts, Show, Stages, Work
from bisectbot.doubt import Prove, Void, doubt_of
from bisectbot.errors import InfraError, Overdue, ToolMissing
from bisectbot.facts import (
    Answered,
    BootBegan,
    Built,
    CameHome,
    Doubted,
    Fact,
    Faulted,
    Found,
    Noted,
    Notified,
    Paused,
    Reverted,
    State,
    Tried,
    apply,
)
from bisectbot.flight import EVER, GRACE, Done, Flight
from bisectbot.forecast import in_words, seconds_of_budget
from bisectbot.lab import Homed
from bisectbot.model import Answer, Culprit, Ending, Kernel, Trial
from bisectbot.ports import Clock, Deadline
from bisectbot.search.wanted import Search, Test, Wanted

BEAT = 5.0  # seconds


@dataclass(frozen=True)
class Stop:
    """Somebody wants the session to stop, and why; `grace`: seconds that this may take."""

    why: str
    grace: float = EVER


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
    slots: InitVar[dict[str, Executor]]  # "build" and "boot", one thread each
    pulse: Callable[[], None] = lambda: None  # a sign of life
    beat: float = BEAT  # seconds at most from one to the next
    # a SimpleQueue may be put into from a signal handler
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    flight: Flight = field(init=False)
    left: bool = False  # whether the boot that is in flight was asked to end

    def __post_init__(self, slots: dict[str, Executor]) -> None:
        self.flight = Flight(slots, self.clock)
        self._course = Course(self.clock)

    def run(self) -> State:
        """Return the state at the end: answered or paused. A programming error in a slot is raised as it is."""
        while not (self.state.answered or self.state.paused):
            self._turn()
        return self.state

    def _turn(self) -> None:
        decision = self._doubted() or self.search.decide(self.state, self._booted)
        if not isinstance(decision, Wanted):
            decision = self._doubted(decision) or decision
        if self.state.paused:
            return
        if not isinstance(decision, Wanted):
            self._finish(decision)
        elif self._out_of_budget:
            self._end_budget()
        elif decision.revert is not None:
            self._revert(decision.revert)
        else:
            self.show.expects(self.state, decision)
            self._start(decision)
            self._wait()

    def _doubted(self, answer: Answer | None = None) -> Wanted | None:
        """Return the boot that shows whether the lab still works, if that is in doubt; pause if it doesn't."""
        match doubt_of(self.state, answer):
            case Prove(commit):
                return Wanted((Test(commit, 1),), 1, says="does the lab still work?")
            case Void(boots, why):
                self._pause_work()
                self._write(Doubted(boots, why))
                self._write(Paused("fault", f"{why}\n  next: see to the machine, then: bisectbot resume", "Doubted"))
        return None

    # --- the end

    def _finish(self, answer: Answer) -> None:
        """Answer, once no kernel is up that could still speak against it: until then what it says is waited for."""
        if self.flight.boot:
            self._leave()
            self._listen()
        elif self._spare(answer):
            self._write(Found(answer))
        else:
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self._pause_work()
        self._write(Answered(answer, self.search.log()))

    def _spare(self, answer: Answer) -> bool:
        """Whether there is time left of a budget to make an answer surer than it was asked for."""
        recipe = self.state.plan.search
        wanted = recipe is not None and recipe.confirm and isinstance(answer, Culprit)
        return wanted and self.state.found is None and self.state.budget.timed and not self._out_of_budget

    @property
    def _seconds_left(self) -> float | None:
        return seconds_of_budget(self.state, self.clock)

    @property
    def _out_of_budget(self) -> bool:
        most = self.state.budget.max_boots
        booted = most is not None and self.state.spent_boots >= most and not self.flight.boot
        return booted or self._seconds_left == 0

    def _end_budget(self) -> None:
        """Pause; or answer, if there was an answer that was only being confirmed, and it still holds."""
        what = "the time" if self._seconds_left == 0 else "the number of boots"
        self._pause_work()
        if self.state.found is not None:
            answer = self.search.decide(replace(self.state, found=None), None)
            if not isinstance(answer, Wanted):
                self._write(Answered(answer, self.search.log()))
                return
        self._write(Paused("budget", f"{what} that it was given is used up"))

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

    # --- work

    @property
    def _booted(self) -> str | None:
        """The commit whose kernel is up, if its runs can go on for as long as they are wanted."""
        flying = self.flight.boot
        return flying.commit if flying and self.stages.leavable and not self.left else None

    def _start(self, wanted: Wanted) -> None:
        """Give idle slots the first thing of theirs that is wanted; a boot that isn't wanted any more is left."""
        now, *_ = wanted.tests
        flying = self.flight.boot
        if flying and (now.fresh or flying.commit != now.commit):
            self._leave()
        for test in wanted.tests:
            built = self.state.builds.get(test.commit)
            if built is None or not self.stages.ready(built):
                self._fly("build", test.commit, self._build_job(test.commit))
            elif isinstance(built, Kernel) and test == now and not self.flight.boot:
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
        return lambda error: self.events.put(_faulted(Work(stage, commit, 0), error))

    def _fly(self, stage: str, commit: str, job: Callable[[], None]) -> None:
        if stage not in self.flight.works:
            work = Work(stage, commit, self.clock.now())
            self.show.began(work)
            self.flight.start(work, job, self.events.put)

    # --- events

    def _wait(self) -> None:
        """Note the next event, and all that have come by then: what happened together is decided on together."""
        self._listen()
        while not self.state.paused and not self.events.empty():
            self._note(self.events.get())

    def _listen(self) -> None:
        """Note one event if there is one soon; give a sign of life, and look at what makes no event by itself."""
        left = self._seconds_left
        with suppress(queue.Empty):
            self._note(self.events.get(timeout=self.beat if left is None else min(self.beat, left)))
        self.pulse()
        for jump in self._course.jumps():
            self._write(jump)
        stuck = self.flight.stuck(self.stages.silence)
        if stuck is not None and not self.state.paused:
            told = in_words(self.flight.silent(stuck))
            self._failed(stuck, Overdue(f"nothing was heard of it for {told}"), GRACE)

    def _note(self, event: Event) -> None:
        match event:
            case Done(work, error):
                self.flight.over(event)
                if error is not None:
                    self._failed(work, error)
            case Stop(why, grace):
                self._pause_work(grace)
                self._write(Paused("interrupted", why))
            case _:
                # any run but a silent one ends the boot
                self.left |= isinstance(event, Tried) and event.trial.ending is not Ending.CLEAN
                self.flight.hear(event)
                self._write(event)

    def _failed(self, work: Work, error: BaseException, grace: float = EVER) -> None:
        """A fault that lasts stops the session; it never becomes a verdict."""
        self._pause_work(grace)
        if not isinstance(error, InfraError):
            raise error
        self._write(_faulted(work, error))
        self._write(Paused("fault", f"{work.stage} of {work.commit[:12]}: {error}", type(error).__name__))

    def _pause_work(self, grace: float = EVER) -> None:
        """End what is in flight; trials that had ended by then are still written down.

        What hasn't ended `grace` seconds later, or after somebody else was in a hurry, or got stuck, is abandoned.
        """
        if self.flight:
            self.stages.stop()
        late = Deadline.after(self.clock, grace)
        while self.flight:
            self.pulse()
            try:
                event = self.events.get(timeout=min(self.beat, late.remaining))
            except queue.Empty:
                late = self.flight.hurry(late, self.stages.silence)
                continue
            match event:
                case Done():
                    self.flight.over(event)
                case Stop(_, seconds):
                    late = min(late, Deadline.after(self.clock, seconds), key=lambda one: one.at)
                case Built() | Tried() | CameHome() | Noted() | Notified():
                    self._write(event)

    def _write(self, fact: Fact) -> None:
        row = self.facts.append(self.clock.wall(), fact, self.clock.now())
        self.state = apply(self.state, row)
        self.show.happened(self.state, row)


def _boot_fact(ask: BootAsk, told: Trial | Homed) -> Fact:
    return Tried(told) if isinstance(told, Trial) else CameHome(ask.kernel.commit, ask.boot, told)


def _faulted(work: Work, error: InfraError) -> Faulted:
    return Faulted(work.commit, work.stage, str(error), type(error).__name__)
