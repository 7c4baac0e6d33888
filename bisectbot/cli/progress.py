"""Live progress on stderr: one line an event, and on a terminal a last line that tells what goes on now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.text import Text

from bisectbot.crew import Work
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
    Opened,
    Paused,
    Resumed,
    Reverted,
    Row,
    State,
    Tried,
)
from bisectbot.fit import Forecast, Word
from bisectbot.forecast import ahead, fit_of, in_words, seconds_left
from bisectbot.lab import LabHost
from bisectbot.model import BuildBroken, Ending, Judgement, Kernel, Trial
from bisectbot.ports import Clock
from bisectbot.report import answer_in_words, fit_in_words, word_on
from bisectbot.report.machine import home_in_words
from bisectbot.search.wanted import Wanted
from bisectbot.visible import visible

_REMIND = 60.0  # seconds between two lines that tell a log what is still going on
_DOING = {"build": "building", "boot": "booting and probing", "home": "bringing the machine home from"}


@dataclass
class Progress:
    """Fits loop.Show. `title` gives a commit's title: data from outside, shown harmless."""

    clock: Clock
    title: Callable[[str], str]
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    _live: ExitStack = field(default_factory=ExitStack)
    _state: State | None = None
    _wanted: Wanted | None = None
    _flight: dict[str, Work] = field(default_factory=dict)
    _clean: list[Trial] = field(default_factory=list)  # silent runs that weren't told yet
    _said: set[str] = field(default_factory=set)  # commits whose verdict was told
    _told: tuple[int, int] = (-1, -1)  # verdicts and boots that there were when the last estimate was told
    _word: Word | None = None  # on whether it fits into the budget, as it was told last
    _began: float = 0.0

    def __enter__(self) -> Self:
        self._began = self.clock.now()
        if self.console.is_terminal:
            self._live.enter_context(self.console.status(_Live(self._now)))
        else:
            self._live.enter_context(_reminding(self._remind))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        self._live.close()

    def _remind(self) -> None:
        if self._flight:
            self.say(f"  still {self._works()}")

    def say(self, line: str) -> None:
        """Print a line, with the time since the start in front."""
        minutes, seconds = divmod(int(self.clock.now() - self._began), 60)
        self.console.print(Text(f"[{minutes:3}:{seconds:02}] {visible(line)}"))

    def expects(self, state: State, wanted: Wanted) -> None:
        """Tell the step and the estimate, when they have changed."""
        if self._state is None:  # a resumed session: what was judged before was told before
            self._said.update(commit for commit, _ in state.judged())
        self._state, self._wanted = state, wanted
        done = (len(state.judged()), state.boots)
        if done != self._told:
            self._tell_clean()
            self._told = done
            self.say(self._step())
            self._tell_fit()

    def began(self, work: Work) -> None:
        """Tell what a slot begins to do."""
        if work.stage == "boot":
            self._flight.pop("home", None)
        self._flight[work.stage] = work
        self.say(f"  {_DOING[work.stage]} {work.commit[:12]} {self.title(work.commit)}")

    def _silent(self, trial: Trial) -> bool:
        """Whether a trial is one of those that come in hundreds, and are told together."""
        return trial.ending is Ending.CLEAN and self._state is not None and self._state.plan.search is not None

    def _tell_clean(self) -> None:
        """Tell the silent runs of the boot that is over."""
        if self._clean:
            first, runs = self._clean[0], len(self._clean)
            seconds = sum(trial.exposure for trial in self._clean)
            self._clean = []
            times = f"{runs} run" if runs == 1 else f"{runs} runs"
            self.say(f"  {first.commit[:12]} boot {first.boot}: silent in {times}, {seconds:.3g} s at work")

    def happened(self, state: State, row: Row) -> None:
        """Tell what was learned."""
        fact = row.fact
        self._state = state
        if not (isinstance(fact, Tried) and self._silent(fact.trial)):
            self._tell_clean()
        for line in self._lines(fact):
            self.say(f"  {line}")
        self._tell_verdicts(state)

    def _lines(self, fact: Fact) -> list[str]:  # noqa: C901  one case a fact
        lines: list[str] = []
        match fact:
            case Built(BuildBroken() as broken):
                self._flight.pop("build", None)
                lines = [f"{broken.commit[:12]} doesn't build: {broken.title}"]
            case Built(Kernel() as kernel):
                self._flight.pop("build", None)
                taken = "was in the store" if kernel.from_store else f"built in {kernel.seconds:.0f} s"
                lines = [f"{kernel.commit[:12]} {taken}: {kernel.release}"]
            case Tried(trial) if self._silent(trial):
                self._clean.append(trial)
            case Tried(trial):
                lines = [f"{trial.commit[:12]} boot {trial.boot}: {trial.ending}: {trial.reason}"]
            case CameHome(_, _, homed):
                self._flight.pop("home", None)
                # every boot ends so: only what is out of the ordinary is told
                lines = [] if homed.by_itself and not homed.crash_log else [home_in_words(homed)]
            case Faulted(commit, stage, text):
                lines = [f"{stage} of {commit[:12]} failed for a reason of ours, not counted: {text}"]
            case Paused(why, text):
                lines = [f"stopped ({why}): {text}"]
            case Reverted(culprit, None, why):
                reason = why or "it conflicts with what came later"
                lines = [f"{culprit[:12]} can't be taken back on the bad end: {reason}"]
            case Reverted(culprit, str(commit)):
                lines = [f"{culprit[:12]} taken back on the bad end, as {commit[:12]}: is the bug gone there?"]
            case Found(answer):
                lines = [f"an answer is there, and the time that is left confirms it: {answer_in_words(answer)}"]
            case Noted(_, text) | Doubted(_, text):
                lines = [text]
            case BootBegan() | Opened() | Resumed() | Answered() | Notified():
                pass
        return lines

    def _tell_verdicts(self, state: State) -> None:
        for commit in state.touched:
            found = state.judgement(commit)
            if commit not in self._said and isinstance(found, Judgement):
                self._said.add(commit)
                self._leave(state, commit)
                self.say(f"  {commit[:12]} is {found.verdict.upper()}: {found.why}")

    def _leave(self, state: State, commit: str) -> None:
        """Note that a boot is over; a real machine has to come home then."""
        if self._flight.pop("boot", None) and isinstance(state.plan.host, LabHost):
            self._flight["home"] = Work("home", commit, self.clock.now())

    def _step(self) -> str:
        state, wanted = self._state, self._wanted
        if state is None or wanted is None:
            return "step 1, time left: unknown"
        done = len(state.judged()) if state.plan.search is None else max(0, state.boots - 1)
        seconds = seconds_left(state, wanted.remaining) if state.plan.search is None else wanted.seconds
        says = f"; {wanted.says}" if wanted.says else ""
        step = f"step {done + 1} of about {done + wanted.remaining}, time left: {in_words(seconds)}"
        return f"{step}{self._fits()}{says}"

    @property
    def _ahead(self) -> Forecast | None:
        """What is still to do."""
        state, wanted = self._state, self._wanted
        if state is None or wanted is None:
            return None
        return ahead(state, wanted.remaining) if state.plan.search is None else wanted.ahead

    def _fits(self) -> str:
        """Return how likely the rest fits into the budget."""
        fit = fit_of(self._state, self._ahead) if self._state else None
        return f"; {fit_in_words(fit)}" if fit else ""

    def _tell_fit(self) -> None:
        """Tell on a line of its own that the rest fits, is tight or won't fit, when that has changed."""
        fit = fit_of(self._state, self._ahead) if self._state else None
        if fit is None or fit.ahead.guess:
            return
        word = fit.word(self._word)
        if word is not (self._word or Word.FITS):
            self.say(f"  {word_on(fit, word)}")
        self._word = word

    def _now(self) -> Text:
        """Return the line that is redrawn all the time."""
        return Text(f"{self._step()}; {self._works() or 'thinking'}")

    def _works(self) -> str:
        now = self.clock.now()
        works = tuple(self._flight.values())  # the loop's thread may change it meanwhile
        return ", ".join(f"{_DOING[work.stage]} {work.commit[:12]} ({in_words(now - work.since)})" for work in works)


@contextmanager
def _reminding(remind: Callable[[], None]) -> Iterator[None]:
    """Call `remind` every minute from a thread of its own."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(_REMIND):
            remind()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def waiting(what: str, clock: Clock) -> Iterator[None]:
    """Tell on stderr what a command waits for, with the time that has passed if that is a terminal."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    began = clock.now()
    if not console.is_terminal:
        console.print(Text(what))
        with _reminding(lambda: console.print(Text(f"still {what} ({in_words(clock.now() - began)})"))):
            yield
        return
    with console.status(_Live(lambda: Text(f"{what} ({in_words(clock.now() - began)})"))):
        yield


@dataclass
class _Live:
    """A line whose text is asked for whenever it is drawn."""

    text: Callable[[], Text]

    def __rich__(self) -> Text:
        return self.text()
