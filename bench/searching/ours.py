"""bisectbot's own search, asked again after every run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from bench.searching.bisects import NO_ANSWER, Answer
from bench.searching.world import GOOD, Ending, Lab
from bisectbot.search.dag import Dag
from bisectbot.search.policy import Action, Costs, Found, Knowledge, Problem, Seen, Settings, choose

Changed = tuple[tuple[str, float], ...]  # settings that aren't the default's, by name
_MOST_DECISIONS = 5_000


@cache
def linear(commits: int, changed: Changed) -> Problem:
    """Return the problem of a range without merges whose commits are equally likely."""
    names = tuple(map(str, range(commits)))
    dag = Dag(names, tuple((place - 1,) if place else () for place in range(commits)))
    return Problem(dag, np.full(commits, 1 / commits), Settings(**dict(changed)))  # type: ignore[arg-type]


@dataclass
class Ours:
    """One search, and what it took besides the lab's seconds."""

    problem: Problem
    thinking: list[float] = field(default_factory=list)  # seconds of each decision
    cpu: list[float] = field(default_factory=list)  # likewise, of the processor
    ends: float = 0.0  # seconds in the lab: the bad end until it is proven, and the good end

    def __call__(self, lab: Lab) -> Answer:
        """Return its answer."""
        seen: dict[int, Seen] = {}
        untestable: frozenset[int] = frozenset()
        for _ in range(_MOST_DECISIONS):
            found = self._decide(lab, Knowledge(dict(seen), untestable))
            if isinstance(found, Found):
                return _answer(found)
            before, boots, proving = lab.seconds, lab.boots, self._proves_an_end(found.commit, seen)
            ending, seconds = lab.run(found.commit, found.seconds)
            self.ends += (lab.seconds - before) if proving else 0.0
            if ending is Ending.UNTESTABLE:
                untestable |= {found.commit}
            else:
                was = seen.get(found.commit, Seen())
                seen[found.commit] = was.more(seconds, int(ending is Ending.FIRED), fresh=lab.boots > boots)
        raise RuntimeError(f"no answer after {_MOST_DECISIONS} decisions: {lab.instance}")

    def _decide(self, lab: Lab, knowledge: Knowledge) -> Action | Found:
        costs = Costs(lab.prices.build, lab.prices.boot, frozenset(lab.built), lab.booted)
        began, busy = time.perf_counter(), time.process_time()
        found = choose(self.problem, knowledge, costs)
        self.thinking.append(time.perf_counter() - began)
        self.cpu.append(time.process_time() - busy)
        return found

    def _proves_an_end(self, commit: int, seen: dict[int, Seen]) -> bool:
        if commit == GOOD:
            return True
        at_bad = seen.get(commit, Seen())
        return commit == len(self.problem.dag) - 1 and at_bad.fires < self.problem.settings.first_fires


def _answer(found: Found) -> Answer:
    match found.what:
        case "culprit":
            return frozenset(found.commits)
        case "older":
            return frozenset({GOOD})
        case _:  # absent, or stuck with what can't be told apart at the confidence asked for
            return NO_ANSWER
