"""The rows of the journal, and the state that they add up to: replaying them is the only memory there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bisectbot.lab import Homed
from bisectbot.model import Answer, BuildBroken, Judgement, Kernel, NotYet, Trial
from bisectbot.plan import Plan
from bisectbot.verdict import alone, judge


@dataclass(frozen=True)
class Opened:
    """The session began; what it was asked to do never changes afterwards."""

    plan: Plan
    versions: dict[str, str]  # of bisectbot, git, compiler, QEMU and the machine's own kernel


@dataclass(frozen=True)
class Resumed:
    """Another process went on with the session."""


@dataclass(frozen=True)
class Built:
    """A build ended, one way or the other."""

    result: Kernel | BuildBroken


@dataclass(frozen=True)
class BootBegan:
    """A machine is about to be started; its number is never given again."""

    commit: str
    boot: int


@dataclass(frozen=True)
class Tried:
    """A trial ended."""

    trial: Trial


@dataclass(frozen=True)
class Faulted:
    """Something of ours failed; says nothing about the commit."""

    commit: str
    stage: str  # "build", "boot" or "revert"
    text: str


@dataclass(frozen=True)
class CameHome:
    """A real machine is back in its known-good system after a boot."""

    commit: str
    boot: int
    homed: Homed


@dataclass(frozen=True)
class Reverted:
    """The bad end with `culprit` taken back, as a commit of its own; None if that doesn't go cleanly.

    `why`: what kept us from trying, if something did.
    """

    culprit: str
    commit: str | None
    why: str = ""


@dataclass(frozen=True)
class Paused:
    """The session stopped without an answer and can be resumed."""

    why: str  # "fault", "interrupted" or "budget"
    text: str


@dataclass(frozen=True)
class Answered:
    """The session is over."""

    answer: Answer
    bisect_log: str


Fact = Opened | Resumed | Built | BootBegan | Tried | Faulted | CameHome | Reverted | Paused | Answered


@dataclass(frozen=True)
class Row:
    """A fact and when it was written: seconds since the epoch."""

    at: float
    fact: Fact


@dataclass(frozen=True)
class State:
    """Everything known, recomputed from the rows."""

    plan: Plan
    versions: dict[str, str]
    began: float
    latest: float
    builds: dict[str, Kernel | BuildBroken] = field(default_factory=dict)
    trials: dict[str, tuple[Trial, ...]] = field(default_factory=dict)
    touched: tuple[str, ...] = ()  # commits, in the order in which something was first learned of them
    boots: int = 0
    faults: tuple[Faulted, ...] = ()
    homecomings: tuple[CameHome, ...] = ()
    paused: Paused | None = None
    answered: Answered | None = None
    worked: float = 0.0  # seconds that some process worked on it
    spell: float = 0.0  # those of the process that worked on it last
    reverts: Mapping[str, Reverted] = field(default_factory=dict)  # by culprit

    def judgement(self, commit: str) -> Judgement | NotYet:
        """Return what is known of a commit by its own trials."""
        rule = judge if self.plan.search is None else alone
        return rule(self.builds.get(commit), self.trials.get(commit, ()), self.plan.probe)

    def judged(self) -> tuple[tuple[str, Judgement], ...]:
        """Return the commits that have a verdict, in the order they were touched."""
        known = ((commit, self.judgement(commit)) for commit in self.touched)
        return tuple((commit, word) for commit, word in known if isinstance(word, Judgement))


def replay(rows: Iterable[Row]) -> State | None:
    """Return the state after all rows; None when there is not even a first one."""
    state: State | None = None
    for row in rows:
        if isinstance(row.fact, Opened):
            state = State(row.fact.plan, row.fact.versions, row.at, row.at)
        elif state is not None:
            state = apply(state, row)
    return state


def apply(state: State, row: Row) -> State:
    """Return the state after one more row."""
    # between a stop and a resume nobody works
    idle = isinstance(row.fact, Resumed)
    step = 0.0 if idle else max(0.0, row.at - state.latest)
    spell = 0.0 if idle else state.spell + step
    return _learn(replace(state, latest=row.at, worked=state.worked + step, spell=spell), row.fact)


def _learn(state: State, fact: Fact) -> State:  # noqa: C901, PLR0911  one line a fact
    match fact:
        case Built(result):
            return replace(_touch(state, result.commit), builds={**state.builds, result.commit: result})
        case BootBegan(commit, boot):
            return replace(_touch(state, commit), boots=max(state.boots, boot))
        case Tried(trial):
            known = (*state.trials.get(trial.commit, ()), trial)
            return replace(_touch(state, trial.commit), trials={**state.trials, trial.commit: known})
        case Faulted():
            return replace(state, faults=(*state.faults, fact))
        case CameHome():
            return replace(state, homecomings=(*state.homecomings, fact))
        case Reverted(culprit):
            return replace(state, reverts={**state.reverts, culprit: fact})
        case Paused():
            return replace(state, paused=fact)
        case Answered():
            return replace(state, answered=fact, paused=None)
        case Resumed():
            return replace(state, paused=None)
        case Opened():
            return state


def _touch(state: State, commit: str) -> State:
    return state if commit in state.touched else replace(state, touched=(*state.touched, commit))
