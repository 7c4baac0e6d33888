"""How long the bad end without the culprit is run."""

from __future__ import annotations

import numpy as np

from bisectbot.search.check import seconds_a_boot, silent_enough
from bisectbot.search.dag import Dag
from bisectbot.search.policy import Costs, enough_silence, mean_seconds
from bisectbot.search.posterior import Belief, Knowledge, Problem, Seen, Settings, believe


def _known(settings: Settings, *fires: float) -> tuple[Problem, Belief]:
    """Return what is believed after a bad end that fired after so many seconds, each in a boot of its own."""
    dag = Dag([f"{place:040x}" for place in range(8)], [[place - 1] if place else [] for place in range(8)])
    problem = Problem(dag, np.full(8, 1 / 8), settings)
    return problem, believe(problem, Knowledge({7: Seen(tuple((seconds, 1) for seconds in fires))}))


def test_silence_is_enough_once_the_bug_would_hardly_have_been_so_silent() -> None:
    """As long as for any commit in one boot; nothing at all is never enough."""
    problem, belief = _known(Settings(), 9.0, 11.0, 10.0)
    needed = enough_silence(problem, belief)
    assert not silent_enough(problem, belief, Seen())
    assert not silent_enough(problem, belief, Seen(((needed * 0.9, 0),)))
    assert silent_enough(problem, belief, Seen(((needed * 1.1, 0),)))


def test_boots_that_differ_are_better_many_than_long() -> None:
    """If the rate is a matter of the boot, several shorter ones take less time than one; dear boots are run longer."""
    problem, belief = _known(Settings(by_boot=0.99), 9.0, 11.0, 10.0)
    mean = mean_seconds(belief)
    cheap = seconds_a_boot(problem, belief, Costs(0, mean / 10))
    dear = seconds_a_boot(problem, belief, Costs(0, mean * 1000))
    assert cheap < enough_silence(problem, belief) / 3
    assert cheap < dear


def test_the_planned_boots_are_enough() -> None:
    """So many boots of the planned length, and the check is over."""
    problem, belief = _known(Settings(), 3.0, 30.0, 10.0)
    long = seconds_a_boot(problem, belief, Costs(0, 5.0))
    assert any(silent_enough(problem, belief, Seen(((long, 0),) * boots)) for boots in range(1, 9))
