"""What would change an answer: computed as the search itself would believe it after seeing that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bisectbot.search.dag import Dag
from bisectbot.search.posterior import GOOD, Knowledge, Problem, Seen, Settings, believe
from bisectbot.search.whatif import Answer, cleared, what_ifs

_SIZE = 31
LINE = Dag([f"{place:040x}" for place in range(_SIZE)], [[place - 1] if place else [] for place in range(_SIZE)])
PROBLEM = Problem(LINE, np.full(_SIZE, 1 / _SIZE))
FIRED = {30: Seen(((33.0, 1), (60.0, 3))), 14: Seen(((20.0, 1), (50.0, 1)))}
KNOWN = Knowledge({**FIRED, 13: Seen(((300.0, 0),)), GOOD: Seen(((200.0, 0),))})


def answer(knowledge: Knowledge = KNOWN, problem: Problem = PROBLEM) -> Answer:
    """Return the likeliest commit as an answer."""
    belief = believe(problem, knowledge)
    return Answer(problem, knowledge, belief, (belief.likeliest,))


def test_a_fire_on_a_parent_rules_the_culprit_out() -> None:
    """Good kernels never fire, so what fires below it leaves it nothing."""
    fire = next(iter(what_ifs(answer())))
    assert (fire.commit, fire.fires, fire.probability) == (LINE.commits[13], 1, 0.0)


def test_with_a_background_a_fire_rules_nothing_out() -> None:
    """Where good kernels fire too, a fire on the parent only makes the culprit less likely."""
    noisy = replace(PROBLEM, settings=Settings(background=1e-4))
    found = answer(problem=noisy)
    fire = next(iter(what_ifs(found)))
    assert 0 < fire.probability < found.probability


def test_silence_brings_what_it_says() -> None:
    """After so much more silence the answer has a tenth of what was missing, and with a quarter less it hasn't."""
    found = answer()
    silence = next(one for one in what_ifs(found) if not one.fires)
    target = 1 - (1 - found.probability) / 10
    assert silence.probability >= target
    assert found.after(13, silence.seconds * 0.75) < target
    seen = {**KNOWN.seen, 13: Seen(((300.0, 0), (silence.seconds, 0)))}
    assert float(believe(PROBLEM, Knowledge(seen)).mass[14]) == pytest.approx(silence.probability)


def test_silence_that_never_suffices_is_not_promised() -> None:
    """Where what is missing lies elsewhere (the good end was never run), no silence on the parent is offered."""
    older = replace(PROBLEM, settings=Settings(older=0.3))
    knowledge = Knowledge({**FIRED, 13: Seen(((5000.0, 0),) * 20)}, frozenset({13}))
    assert [one for one in what_ifs(answer(knowledge, older)) if not one.fires] == []


def test_a_culprit_that_did_not_fire_itself_could() -> None:
    """Then a fire on it is one of the things that would change the answer, for the better."""
    prior = np.full(_SIZE, 1e-3)
    prior[14] = 1.0
    likely = Problem(LINE, prior / prior.sum())
    found = answer(Knowledge({30: FIRED[30], 13: Seen(((60.0, 0),))}), likely)
    assert found.group == (14,)
    (fire,) = [one for one in what_ifs(found) if one.commit == LINE.commits[14]]
    assert fire.probability > found.probability


def test_a_parent_is_cleared_by_its_own_silence() -> None:
    """Longer silence has a smaller chance with the bug, and leaves less probability that it has it."""
    (short,), (longer,) = (
        list(cleared(answer(Knowledge({**FIRED, 13: Seen(((seconds, 0),))})))) for seconds in (200.0, 800.0)
    )
    assert (short.seconds, longer.seconds) == (200.0, 800.0)
    assert longer.chance < short.chance < 1
    assert longer.has_bug < short.has_bug


def test_a_parent_that_never_ran_is_cleared_by_those_that_contain_it() -> None:
    """Silence of a commit beside the culprit that contains the parent counts, and the culprit's children's doesn't."""
    # 0 - 1 (culprit) - 3 (bad end), and 2 beside it upon 0
    dag = Dag([f"{place:040x}" for place in range(4)], [[], [0], [0], [1, 2]])
    problem = Problem(dag, np.array([0.01, 0.97, 0.01, 0.01]))
    seen = {3: Seen(((90.0, 3),)), 1: Seen(((60.0, 2),)), 2: Seen(((400.0, 0),))}
    (parent,) = cleared(answer(Knowledge(seen), problem))
    assert (parent.commit, parent.seconds, parent.elsewhere) == (dag.commits[0], 0.0, 400.0)
    assert 0 < parent.chance < 0.1
    seen.pop(2)
    (alone,) = cleared(answer(Knowledge(seen), problem))
    assert alone.elsewhere == 0
    assert alone.chance == pytest.approx(1)
