"""PyPI's git-bayesect itself, driven as its `run` drives it: a build and a boot for each run of 30 s, stop at 99 %."""

from __future__ import annotations

import numpy as np
from git_bayesect import Bisector  # type: ignore[import-untyped]

from bench.searching.bisects import NO_ANSWER, Answer
from bench.searching.world import SAMPLE, Ending, Lab

_CONFIDENCE = 0.99
_MOST_RUNS = 20_000


def bayesect(lab: Lab) -> Answer:
    """Return its answer. Its place 0 is the bad end, and its last one the good end.

    Its `run` takes a commit that doesn't build for one that fails; the skip that its class knows is kinder to it.
    """
    commits = lab.instance.commits
    with np.errstate(divide="ignore", invalid="ignore"):
        bisector = Bisector(np.ones(commits + 1))
        for _ in range(_MOST_RUNS):
            place = bisector.select()
            ending, _seconds = lab.run(commits - 1 - place, SAMPLE, fresh=True)
            bisector.record(place, None if ending is Ending.UNTESTABLE else ending is Ending.FIRED)
            if bisector.distribution.max() >= _CONFIDENCE:
                return frozenset({commits - 1 - int(bisector.distribution.argmax())})
    return NO_ANSWER
