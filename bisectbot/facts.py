"""The rows of the journal, and the state that they add up to: replaying them is the only memory there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bisectbot.lab import Homed, Host
from bisectbot.model import Answer, BuildBroken, Judgement, Kernel, NotYet, Trial
from bisectbot.plan import Budget, Plan
from bisectbot.verdict import alone, judge


@dataclass(frozen=True)
class Opened:
    """The session began; what it was asked to do never changes afterwards."""

    plan: Plan
    versions: dict[str, str]  # of bisectbot, git, compiler, QEMU and the machine's own kernel


@dataclass(frozen=True)
class Resumed:
    """Another process went on with the session; with a budget, or on a machine, that it hadn't before."""

    budget: Budget | None = None
    host: Host | None = None


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
    kind: str = ""  # of the fault: its class in errors.py


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
class Noted:
    """Something out of the ordinary that concerns no commit, and that a person may want to know of."""

    what: str  # "clock", "disk", "memory", "host", "notices", or "hand": a person has to look at it
    text: str


@dataclass(frozen=True)
class Doubted:
    """The lab is suspected: these boots say nothing of their commits, for a kernel that had booted fails as they do."""

    boots: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Found:
    """There is an answer; what is left of the budget goes into confirming it."""

    answer: Answer


@dataclass(frozen=True)
class Notified:
    """A notice of the row numbered `row` was handed over on a channel."""

    row: int
    kind: str  # of the notice: one row may be worth two
    channel: str  # "mail", "webhook" or "command"


@dataclass(frozen=True)
class Paused:
    """The session stopped without an answer and can be resumed."""

    why: str  # "fault", "interrupted" or "budget"
    text: str
    kind: str = ""  # of a fault: its class in errors.py


@dataclass(frozen=True)
class Answered:
    """The session is over."""

    answer: Answer
    bisect_log: str


Fact = (
    Opened
    | Resumed
    | Built
    | BootBegan
    | Tried
    | Faulted
    | CameHome
    | Reverted
    | Noted
    | Doubted
    | Found
    | Notified
    | Paused
    | Answered
)


@dataclass(frozen=True)
class Row:
    """A fact and when it was written: seconds since the epoch.

    `tick`: the same on the process's own steady clock, which nobody sets; None in journals from before it was kept.
    """

    at: float
    fact: Fact
    number: int = 0  # in the journal, from 1; 0 for one that isn't there (yet)
    tick: float | None = None


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
    reverts: Mapping[str, Reverted] = field(default_factory=dict)  # by culprit
    budget: Budget = field(default_factory=Budget)  # the one in force
    spent: float = 0.0  # seconds of work since it came into force
    spent_boots: int = 0
    tick: float | None = None  # of the latest row
    found: Found | None = None
    found_at: float = 0.0  # `worked` at that time
    notes: tuple[Noted, ...] = ()
    doubted: tuple[Doubted, ...] = ()
    resumes: int = 0

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
            state = opened(row, row.fact)
        elif state is not None:
            state = apply(state, row)
    return state


def opened(row: Row, fact: Opened) -> State:
    """Return the state after the first row."""
    return State(fact.plan, fact.versions, row.at, row.at, budget=fact.plan.budget, tick=row.tick)


def apply(state: State, row: Row) -> State:
    """Return the state after one more row."""
    # between a stop and a resume nobody works
    step = 0.0 if isinstance(row.fact, Resumed) or _beside(row.fact) else _step(state, row)
    tick = state.tick if _beside(row.fact) else row.tick
    worked, spent = state.worked + step, state.spent + step
    return _learn(replace(state, latest=row.at, tick=tick, worked=worked, spent=spent), row.fact)


def _beside(fact: Fact) -> bool:
    """Whether a fact is written by whoever looks after the session, perhaps while nobody works on it."""
    return isinstance(fact, Notified) or (isinstance(fact, Noted) and fact.what in ("hand", "notices"))


def _step(state: State, row: Row) -> float:
    """Return the seconds since the row before; a clock that was set meanwhile doesn't count."""
    if row.tick is not None and state.tick is not None:
        return max(0.0, row.tick - state.tick)
    return max(0.0, row.at - state.latest)


def _resume(state: State, fact: Resumed) -> State:
    """A budget that was used up, or is replaced, begins anew; after any other stop it goes on."""
    anew = fact.budget is not None or (state.paused is not None and state.paused.why == "budget")
    if anew:
        state = replace(state, budget=fact.budget or state.budget, spent=0.0, spent_boots=0)
    plan = state.plan if fact.host is None else replace(state.plan, host=fact.host)
    return replace(state, plan=plan, paused=None, resumes=state.resumes + 1)


def _void(state: State, fact: Doubted) -> State:
    """Forget what boots said that nobody trusts any more."""
    kept = {
        commit: tuple(trial for trial in known if trial.boot not in fact.boots)
        for commit, known in state.trials.items()
    }
    return replace(state, trials=kept, doubted=(*state.doubted, fact))


def _learn(state: State, fact: Fact) -> State:  # noqa: C901, PLR0911, PLR0912  one line a fact
    match fact:
        case Built(result):
            return replace(_touch(state, result.commit), builds={**state.builds, result.commit: result})
        case BootBegan(commit, boot):
            spent = state.spent_boots + 1
            return replace(_touch(state, commit), boots=max(state.boots, boot), spent_boots=spent)
        case Tried(trial):
            known = (*state.trials.get(trial.commit, ()), trial)
            return replace(_touch(state, trial.commit), trials={**state.trials, trial.commit: known})
        case Faulted():
            return replace(state, faults=(*state.faults, fact))
        case CameHome():
            return replace(state, homecomings=(*state.homecomings, fact))
        case Reverted(culprit):
            return replace(state, reverts={**state.reverts, culprit: fact})
        case Noted():
            return replace(state, notes=(*state.notes, fact))
        case Doubted():
            return _void(state, fact)
        case Found():
            return replace(state, found=fact, found_at=state.worked)
        case Paused():
            return replace(state, paused=fact)
        case Answered():
            return replace(state, answered=fact, paused=None)
        case Resumed():
            return _resume(state, fact)
        case Opened() | Notified():
            return state


def _touch(state: State, commit: str) -> State:
    return state if commit in state.touched else replace(state, touched=(*state.touched, commit))


def works_again(fact: Fact, stage: str) -> bool:
    """Whether a fact shows that a stage works (again): a build that was made ahead says nothing of a machine."""
    match fact:
        case Built():
            return stage != "boot"
        case Tried(trial):
            return not trial.ending.verdictless
        case _:
            return False
