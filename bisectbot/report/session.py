"""What a report is made from: the facts of one session as a value, whole or so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bisectbot.fit import Fit, Forecast
from bisectbot.lab import Homed, LabHost
from bisectbot.model import Answer, BuildBroken, BuildRecipe, Judgement, Kernel, NotYet, ProbeRecipe, Range, Trial
from bisectbot.odds import Odds
from bisectbot.ports import CommitInfo
from bisectbot.report.maintainers import Maintainers
from bisectbot.report.timeline import Timeline


@dataclass(frozen=True)
class Step:
    """One commit that was worked on, and all that was seen of it."""

    commit: CommitInfo
    built: Kernel | BuildBroken | None  # None: its build isn't over
    trials: tuple[Trial, ...]
    judgement: Judgement | NotYet


@dataclass(frozen=True)
class Working:
    """The session goes on."""

    doing: str = ""  # "building 1234567890ab"
    remaining: int | None = None  # about so many steps follow
    found: Answer | None = None  # there is an answer already, and what is left of the budget confirms it


@dataclass(frozen=True)
class Fault:
    """The session stopped for a failure of ours; says nothing about any commit."""

    message: str
    hint: str = ""


@dataclass(frozen=True)
class Interrupted:
    """The session was stopped by its user."""

    why: str = ""


@dataclass(frozen=True)
class Homecoming:
    """How a real machine came home after one boot."""

    commit: str
    boot: int
    homed: Homed


@dataclass(frozen=True)
class Narrowed:
    """What a plain bisection has come to: so many candidates, all in `bad` and none of them in `goods`."""

    commits: int
    bad: str
    goods: tuple[str, ...]


@dataclass(frozen=True)
class OutOfTime:
    """The session's time is over before it has an answer; it can be resumed."""

    why: str = ""


Outcome = Answer | Working | Fault | Interrupted | OutOfTime


@dataclass(frozen=True)
class Session:
    """Everything a report tells. Only the first block is needed; what isn't known yet keeps its default."""

    name: str
    folder: Path  # absolute; logs below it are linked relative to it
    tree: Path  # the user's
    range_: Range
    build: BuildRecipe
    probe: ProbeRecipe
    host: str
    outcome: Outcome
    steps: tuple[Step, ...]  # in the order they were first worked on, the ends among them

    began: float = 0.0  # seconds since the epoch
    latest: float = 0.0  # likewise: of the newest fact
    seconds: float = 0.0  # that some process worked on it (pauses don't count)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)  # "build", "boot", "probe", ... in this order
    fragments: tuple[str, ...] = ()  # the wanted concerns by the user's names; else the files' names are shown
    versions: Mapping[str, str] = field(default_factory=dict)  # "git" -> "2.39.5"
    native: str = ""  # `uname -m` of the machine that builds: tells a cross build
    commits: tuple[CommitInfo, ...] = ()  # what else may be named: ends, culprit and its parents, candidates
    diffstat: str = ""  # the culprit's
    maintainers: Maintainers = field(default_factory=Maintainers)  # of the files that the culprit changes
    bisect_log: str = ""  # as `git bisect log` prints it
    boot_argv: tuple[str, ...] = ()  # as QEMU was started for a trial: -kernel, -initrd and -append among them
    faults: tuple[str, ...] = ()  # of ours that were survived, one line each
    lab: LabHost | None = None  # the host, if it is a real machine; taken off before anything is rendered
    homecomings: tuple[Homecoming, ...] = ()  # of a real machine, oldest first
    ahead: Forecast | None = None  # what is still to do; None: nobody knows
    fit: Fit | None = None  # whether that fits into the budget; None: there is none
    narrowed: Narrowed | None = None  # of a plain bisection that has no answer yet
    odds: Odds | None = None  # what the search believes; None: a plain bisection
    timeline: Timeline = field(default_factory=Timeline)  # what was done when

    def info(self, commit: str) -> CommitInfo | None:
        """Return what is known of a commit, or None."""
        known = (*(step.commit for step in self.steps), *self.commits)
        return next((info for info in known if info.commit == commit), None)

    def step(self, commit: str) -> Step | None:
        """Return the step that worked on a commit, or None."""
        return next((step for step in self.steps if step.commit.commit == commit), None)

    def title(self, commit: str) -> str:
        """Return a commit's title, or nothing."""
        info = self.info(commit)
        return info.title if info else ""
