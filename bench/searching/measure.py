"""One piece of work, and what comes of it: so many trials of a policy in a cell, added up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass

from bench.searching.bayesect import bayesect
from bench.searching.bisects import Answer, Engineer, Plain, Syzkaller
from bench.searching.ours import Changed, Ours, linear
from bench.searching.world import Cell, Instance, Lab, Prices, Twist, draw

OURS = "bisectbot"
_PEERS: dict[str, Callable[[Lab], Answer]] = {
    "bisect 1x30s": Plain(1),
    "bisect 3x30s": Plain(3),
    "bisect 10x30s": Plain(10),
    "engineer": Engineer(),
    "syzkaller": Syzkaller(),
    "git-bayesect": bayesect,
}
POLICIES = (OURS, *_PEERS)

_PLAIN, _USUAL = Twist(), Prices()


@dataclass(frozen=True)
class Job:
    """Trials first..first+trials-1 of a policy in a cell."""

    policy: str
    cell: Cell
    trials: int
    first: int = 0
    twist: Twist = _PLAIN
    prices: Prices = _USUAL
    seed: int = 1
    changed: Changed = ()


@dataclass(frozen=True)
class Tally:
    """Sums over trials. An answer that misses the culprit is wrong; none is none."""

    trials: int = 0
    seconds: float = 0.0
    squares: float = 0.0
    builds: int = 0
    boots: int = 0
    wrong: int = 0
    none: int = 0
    named: int = 0  # commits, over all answers
    ends: float = 0.0  # seconds of proving the ends; ours alone does it apart
    decisions: int = 0
    thinking: float = 0.0  # seconds of deciding
    worked: float = 0.0  # seconds of this computer's

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    @property
    def mean(self) -> float:
        """Mean seconds to the end."""
        return self.seconds / self.trials

    @property
    def spread(self) -> float:
        """Return the standard error of the mean seconds."""
        if self.trials < 2:  # noqa: PLR2004  of one value none is known
            return math.nan
        variance = (self.squares - self.seconds**2 / self.trials) / (self.trials - 1)
        return math.sqrt(max(0.0, variance) / self.trials)

    @property
    def error(self) -> float:
        """Return the share of wrong answers."""
        return self.wrong / self.trials

    @property
    def error_spread(self) -> float:
        """Return the standard error of the share, never 0: as if half a wrong and half a right one came on top."""
        share = (self.wrong + 0.5) / (self.trials + 1)
        return math.sqrt(share * (1 - share) / self.trials)


def work(job: Job) -> Tally:
    """Return the sum over the job's trials."""
    began = time.perf_counter()
    total = Tally()
    for trial in range(job.first, job.first + job.trials):
        total += one_trial(job, draw(job.cell, job.twist, job.seed, trial))
    return total + Tally(worked=time.perf_counter() - began)


def one_trial(job: Job, instance: Instance) -> Tally:
    """Return what one search took, and whether it was right."""
    lab = Lab(instance, job.prices)
    if job.policy != OURS:
        return _told(lab, _PEERS[job.policy](lab))
    ours = Ours(linear(job.cell.commits, job.changed))
    told = _told(lab, ours(lab))
    return told + Tally(ends=ours.ends, decisions=len(ours.thinking), thinking=sum(ours.thinking))


def _told(lab: Lab, answer: Answer) -> Tally:
    return Tally(
        trials=1,
        seconds=lab.seconds,
        squares=lab.seconds**2,
        builds=lab.builds,
        boots=lab.boots,
        wrong=int(bool(answer) and lab.instance.culprit not in answer),
        none=int(not answer),
        named=len(answer),
    )
