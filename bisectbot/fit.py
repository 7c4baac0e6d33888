"""Whether what is still to do fits into what is left of a budget, as a probability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

FITS, WONT = 0.8, 0.2  # from the one on it fits, below the other one it doesn't
_CLEARLY = 0.05
_SUREST = 0.99  # nobody knows such things better
_BOOTS_SPREAD = 0.4  # at least, by `bench/search --forecast`: boots that end early are counted like any other


@dataclass(frozen=True)
class Forecast:
    """What is still to do before an answer: as likely more as less.

    `spread`: the standard deviation of log(what it took / `seconds`). `guess`: nothing has fired yet, so how often it
    does is a guess, too: good for odds, not worth a figure.
    """

    seconds: float
    spread: float
    boots: float
    guess: bool = False


class Word(StrEnum):
    """What a probability to fit comes to."""

    FITS = "fits"
    TIGHT = "tight"
    WONT = "won't fit"


@dataclass(frozen=True)
class Fit:
    """A forecast beside what is left of a budget; None where the budget sets no such bound.

    `until`: the moment at which it ends, in seconds since the epoch, if it was given as one and is what comes first.
    `anew`: the budget is used up, and this is another one like it.
    """

    ahead: Forecast
    seconds: float | None = None
    boots: int | None = None
    until: float | None = None
    anew: bool = False

    @property
    def chance(self) -> float:
        """The probability that there is an answer in time."""
        ahead = self.ahead
        by_time = 1.0 if self.seconds is None else chance(ahead.seconds, self.seconds, ahead.spread)
        by_boots = 1.0 if self.boots is None else chance(ahead.boots, self.boots, max(_BOOTS_SPREAD, ahead.spread))
        # what takes more boots takes more time: whichever is scarcer decides
        return min(by_time, by_boots)

    def word(self, before: Word | None = None) -> Word:
        """Return what that comes to; what was said `before` stays said until it is clearly wrong."""
        said = self.chance
        if before is not None and min(abs(said - FITS), abs(said - WONT)) < _CLEARLY:
            return before
        if said >= FITS:
            return Word.FITS
        return Word.WONT if said < WONT else Word.TIGHT


def chance(expected: float, left: float, spread: float) -> float:
    """Return the probability that what is expected to take so much takes no more than is left."""
    if left <= 0 or expected <= 0:
        return 0.0 if left <= 0 else 1.0
    found = NormalDist(0.0, spread).cdf(math.log(left / expected))
    return min(_SUREST, max(1 - _SUREST, found))
