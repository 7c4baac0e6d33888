"""What an answer rests on, and what would change it: the parents' silence, the priors, one more fire or silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bisectbot.odds import Cleared, WhatIf
from bisectbot.search.policy import chance_of_silence, mean_seconds
from bisectbot.search.posterior import GOOD, Belief, Knowledge, Problem, Seen, believe

_MOST_PARENTS = 4  # an octopus may have more
_LONGER = np.geomspace(0.1, 300, 80)  # mean times to fire: how much more silence is tried out


@dataclass(frozen=True)
class Answer:
    """The commits that are the answer together (one, but for what can't be told apart), and what led to them."""

    problem: Problem
    knowledge: Knowledge
    belief: Belief
    group: tuple[int, ...]

    @property
    def parents(self) -> tuple[int, ...]:
        """The parents of the group that are in the range."""
        dag = self.problem.dag
        found = {parent for place in self.group for parent in dag.parents[place]} - set(self.group)
        return tuple(sorted(found))[:_MOST_PARENTS]

    @property
    def probability(self) -> float:
        """The group's."""
        return float(self.belief.mass[list(self.group)].sum())

    def after(self, place: int, seconds: float, fires: int = 0) -> float:
        """Return the group's probability if a fresh boot of commit `place` showed that."""
        seen = self.knowledge.seen
        more = {**seen, place: seen.get(place, Seen()).more(seconds, fires)}
        belief = believe(self.problem, replace(self.knowledge, seen=more))
        return float(belief.mass[list(self.group)].sum())


def cleared(answer: Answer) -> Iterator[Cleared]:
    """Yield what speaks for each parent of the answer being without the bug."""
    problem, belief = answer.problem, answer.belief
    has_bug = np.minimum(1.0, problem.dag.below(belief.mass) + belief.older)
    for place in answer.parents:
        own = answer.knowledge.seen.get(place, Seen())
        own = Seen() if own.fires else own
        others = tuple(_silent_above(answer, place))
        chance = chance_of_silence(belief, own, *others)
        elsewhere = sum((one.seconds for one in others), 0.0)
        yield Cleared(problem.dag.commits[place], own.seconds, elsewhere, chance, float(has_bug[place]))


def _silent_above(answer: Answer, place: int) -> Iterator[Seen]:
    """Yield what was seen on each silent commit that contains `place` and nothing of the answer."""
    for other, seen in answer.knowledge.seen.items():
        if other in (GOOD, place) or seen.fires or not seen.seconds:
            continue
        held = answer.problem.dag.ancestors(other)
        if held[place] and not held[list(answer.group)].any():
            yield seen


def what_ifs(answer: Answer) -> Iterator[WhatIf]:
    """Yield what would change the answer: a fire below it, one on it if there was none, and the soonest silence."""
    named, mean, out = answer.problem.dag.commits, mean_seconds(answer.belief), answer.knowledge.untestable
    parents = [place for place in answer.parents if place not in out]
    top = max(answer.group)
    never = top not in out and not answer.knowledge.seen.get(top, Seen()).fires
    for place in (*parents, *((top,) if never else ())):
        yield WhatIf(named[place], 1, mean, answer.after(place, mean, 1))
    target = 1 - (1 - answer.probability) / 10
    waits = [(seconds, place) for place in parents if (seconds := _silence_to(answer, place, target, mean)) is not None]
    if waits:
        seconds, place = min(waits)
        yield WhatIf(named[place], 0, seconds, answer.after(place, seconds))


def _silence_to(answer: Answer, place: int, target: float, mean: float) -> float | None:
    """Return the seconds of more silence on a commit that bring the answer to `target`; None if none would."""
    low, high = 0, len(_LONGER)
    while low < high:
        middle = (low + high) // 2
        reached = answer.after(place, mean * float(_LONGER[middle])) >= target
        low, high = (low, middle) if reached else (middle + 1, high)
    return float(mean * _LONGER[low]) if low < len(_LONGER) else None
