"""What is measured, and what comes next: runs of the reproducer in, the next boot out.

Each case (a host and a setting) has three parts. On the good kernel runs go to their end: what it counts there is what
a setting makes of the machine. On the bad one a single run counts mismatches to its end (--keep-going), and the others
end at their first mismatch, for only the time until that is free of what a mismatch changes: a number that is stale
stays so until the next migration, so mismatches come in rows and a later one is no second draw of the first.

A boot goes on while its runs are clean and ends with the first that isn't. Cases take turns, so that a machine whose
load changes changes all of them alike, and an experiment that is cut short has something of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bisectbot.calibrate.setting import Lasting, Setting
from bisectbot.model import Ending, Trial

_SPARE_BOOTS = 2  # of a part, for boots without a verdict
_TOLD = (Ending.FIRED, Ending.CLEAN, Ending.CANT_TELL)


class Part(StrEnum):
    """What a run is for."""

    GOOD = "good"  # the good kernel, to the end
    COUNT = "count"  # the bad kernel, to the end, counting on behind the first mismatch
    FIRE = "fire"  # the bad kernel, until it fires

    @property
    def args(self) -> tuple[str, ...]:
        """What the reproducer is run with."""
        return ("--keep-going",) if self is Part.COUNT else ()


@dataclass(frozen=True)
class Case:
    """A setting on a host."""

    host: str
    setting: Setting


@dataclass(frozen=True)
class Asked:
    """The whole experiment; `runs` of each setting and kernel."""

    hosts: tuple[str, ...]
    settings: tuple[Setting, ...]
    lasting: Lasting
    runs: int

    @property
    def cases(self) -> tuple[Case, ...]:
        """All of them, in turn."""
        return tuple(Case(host, setting) for host in self.hosts for setting in self.settings)


@dataclass(frozen=True)
class Step:
    """One boot: what it is for, and at most so many runs."""

    case: Case
    part: Part
    runs: int


@dataclass(frozen=True)
class Counts:
    """What the reproducer counted in a run."""

    migrations: int = 0
    moves: int = 0
    kvm_runs: int = 0
    reads: int = 0  # completed
    retries: int = 0  # reads begun anew
    mismatches: int = 0


@dataclass(frozen=True)
class Run:
    """A run that ended. `seconds` and `first` on the machine's clock since its first migration, `wall` on ours."""

    case: Case
    part: Part
    boot: int
    ending: Ending
    reason: str
    counts: Counts
    seconds: float
    first: float | None  # mismatch
    wall: float  # from the reproducer's start to its end: seconds, setting up and being heard included

    @property
    def exposed(self) -> float:
        """Seconds in which it could fire: until it did."""
        fired = self.ending is Ending.FIRED
        return self.first if fired and self.first is not None else self.seconds

    @property
    def told(self) -> bool:
        """Whether the reproducer ended by itself, and so tells something of its setting."""
        return self.ending in _TOLD


def run_of(step: Step, trial: Trial) -> Run:
    """Return what a trial of a step measured. Its counts are data from a stranger: what is no number is 0."""
    names = Counts.__dataclass_fields__
    counts = Counts(**{name: int(_number(trial.counts.get(name))) for name in names})
    first = trial.counts.get("first_mismatch")
    return Run(
        case=step.case,
        part=step.part,
        boot=trial.boot,
        ending=trial.ending,
        reason=trial.reason,
        counts=counts,
        seconds=_number(trial.counts.get("seconds")),
        first=_number(first.get("seconds")) if isinstance(first, dict) else None,
        wall=trial.probe_seconds,
    )


def _number(value: object) -> float:
    return max(0, value) if isinstance(value, int | float) else 0


def next_step(asked: Asked, runs: Sequence[Run]) -> Step | None:
    """Return the next boot, of the case that had the fewest; None when all is measured."""
    waiting = [step for case in asked.cases for step in _open(asked, case, runs)[:1]]
    return min(waiting, key=lambda step: _boots(_of(runs, step.case)), default=None)


def boots_left(asked: Asked, runs: Sequence[Run]) -> int:
    """Return how many boots are still to come if each run on a bad kernel fires and each on a good one is clean."""
    open_ = [step for case in asked.cases for step in _open(asked, case, runs)]
    return sum(step.runs if step.part is Part.FIRE else 1 for step in open_)


def _open(asked: Asked, case: Case, runs: Sequence[Run]) -> list[Step]:
    return list(_steps(asked, case, _of(runs, case)))


def _steps(asked: Asked, case: Case, runs: Sequence[Run]) -> Iterator[Step]:
    """Yield what a case still lacks, a part after the other."""
    for part in Part:
        wanted = 1 if part is Part.COUNT else asked.runs
        done = [run for run in runs if run.part is part]
        left = wanted - sum(run.told for run in done)
        usual = wanted if part is Part.FIRE else 1
        if left > 0 and _boots(done) < usual + _SPARE_BOOTS:
            yield Step(case, part, left)


def _of(runs: Sequence[Run], case: Case) -> list[Run]:
    return [run for run in runs if run.case == case]


def _boots(runs: Sequence[Run]) -> int:
    return len({run.boot for run in runs})
