"""What the search believes, as numbers for people and programs: the nouns between search/ and the report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bisectbot.fit import Forecast
from bisectbot.model import Judgement, NotYet


@dataclass(frozen=True)
class Suspect:
    """A commit and the probability that it is the culprit."""

    commit: str
    probability: float


@dataclass(frozen=True)
class Rate:
    """How often the bug fires where it is: `fires` in `seconds` of exposure, and the 95 % interval, per second.

    `low` is 0 and `high` a bound when it never fired.
    """

    fires: int
    seconds: float
    low: float
    high: float

    @property
    def mean_seconds(self) -> float | None:
        """Seconds from one fire to the next, or None if there was none."""
        return self.seconds / self.fires if self.fires else None


@dataclass(frozen=True)
class Tested:
    """What was seen on one commit: seconds of exposure, fires, and the probability that it has the bug."""

    commit: str
    seconds: float
    fires: int
    has_bug: float  # not a number: nobody knows
    judgement: Judgement | NotYet
    chance: float = math.nan  # of so long a silence if it had the bug; not a number: it fired, or nobody knows
    without: str = ""  # the commit that is taken back in it: it is the bad end but for that, and not of the range


@dataclass(frozen=True)
class Proposal:
    """What the search would do next, and what it expects of that."""

    commit: str
    seconds: float  # of running, at the most
    fires: float  # probability that it fires in that time
    bits: float  # expected information about the culprit
    cost: float  # seconds expected: build, boot and run
    why: str


@dataclass(frozen=True)
class Shrunk:
    """What the configuration can see of the range: commits that touch nothing of either end's kernel are unlikely."""

    visible: int  # commits that touch something
    of: int
    steps_saved: float  # bisection steps: the difference in bits of the prior


@dataclass(frozen=True)
class Reverted:
    """The check at the end: the bad end with the culprit taken back. `commit` None: it doesn't revert cleanly."""

    commit: str | None
    seconds: float = 0.0  # of exposure
    fires: int = 0
    chance: float = 1.0  # of so long a silence if the bug were still there
    problem: str = ""  # why it couldn't be tested


@dataclass(frozen=True)
class Cleared:
    """What speaks for a parent of the culprit being without the bug."""

    commit: str
    seconds: float  # of silence on it
    elsewhere: float  # of silence on other commits that contain it, and not the culprit
    chance: float  # of all that silence if it had the bug
    has_bug: float  # probability


@dataclass(frozen=True)
class Holding:
    """The fewest commits that together have 95 %: how many, and the likeliest of them; `older`: that is one of them."""

    number: int
    commits: tuple[str, ...]
    probability: float
    older: bool = False


@dataclass(frozen=True)
class WhatIf:
    """One more thing that could be seen on a commit, and the probability that the culprit would have then."""

    commit: str
    fires: int  # 1: it fires once more; 0: it is silent
    seconds: float  # of running until then
    probability: float


@dataclass(frozen=True)
class Odds:
    """The whole belief at one moment. Probabilities are of 1; `suspects` has the likeliest first and is bounded."""

    confidence: float  # that is asked for
    candidates: int  # commits of the range
    suspects: tuple[Suspect, ...]
    group: tuple[str, ...]  # commits that can't be told from the likeliest one, itself included
    group_probability: float
    older: float  # the bug is older than the range
    absent: float  # it isn't there at all, not even at the bad end
    rate: Rate
    tested: tuple[Tested, ...] = ()
    proposal: Proposal | None = None  # None: there is nothing left to do
    seconds_left: float | None = None  # forecast to the answer
    steps_left: float | None = None
    shrunk: Shrunk | None = None  # None: not known, or the user's own prior alone
    twins: tuple[tuple[str, ...], ...] = ()  # commits whose kernels are the same but for their names
    reverted: Reverted | None = None
    silence_needed: float | None = None  # seconds on one commit that leave the allowed chance that it has the bug
    parents: tuple[Cleared, ...] = ()  # of the culprit, once there is one: those in the range
    what_ifs: tuple[WhatIf, ...] = ()  # likewise
    ahead: Forecast | None = None  # what is still to do; None: nothing
    holding: Holding | None = None  # None: nothing fired so far
    goal: float | None = None  # the probability that is worked for, if it isn't the one that was asked for
    confirmed: str = ""  # the commit of an answer that is being confirmed, or was until the search stopped
    flat: float | None = None  # likewise: its probability if all commits had been equally likely beforehand

    def of(self, commit: str) -> Tested | None:
        """Return what was seen on a commit; None if nothing was."""
        return next((one for one in self.tested if one.commit == commit), None)

    def judgement(self, commit: str) -> Judgement | NotYet | None:
        """Return what is known of a commit; None if it wasn't tested."""
        tested = self.of(commit)
        return tested.judgement if tested else None
