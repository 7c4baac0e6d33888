"""Whether the rest fits into a budget: probabilities, words, and what is counted as left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeClock, a_kernel, a_plan
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.cli.resuming import going_on
from bisectbot.facts import BootBegan, Built, Fact, Found, Opened, Paused, Resumed, Row, State, Tried, replay
from bisectbot.fit import Fit, Forecast, Word, chance
from bisectbot.forecast import ahead, fit_of
from bisectbot.model import Culprit, Ending, Range, Trial
from bisectbot.plan import Budget, SearchRecipe
from bisectbot.report import fit_in_words, word_on

_AHEAD = Forecast(3600.0, 0.3, 12.0)
_HOUR = 3600.0
_SECONDS = st.floats(1, 1e7)
BAD, GOOD, OTHER = "b" * 40, "a" * 40, "c" * 40


@given(_SECONDS, _SECONDS, st.floats(0.05, 2))
def test_more_time_is_never_worse(expected: float, left: float, spread: float) -> None:
    """A probability that grows with what is left, is a half at what is expected, and is never certain."""
    said = chance(expected, left, spread)
    assert 0.0099 < said < 0.9901
    assert chance(expected, 2 * left, spread) >= said
    assert chance(expected, expected, spread) == pytest.approx(0.5)


def test_nothing_left_is_too_little_and_nothing_to_do_always_fits() -> None:
    """The edges, which no logarithm tells."""
    assert chance(10.0, 0.0, 0.3) == 0
    assert chance(0.0, 10.0, 0.3) == 1


def test_the_scarcer_decides() -> None:
    """Enough time and few boots, or the other way round."""
    assert Fit(_AHEAD, 10 * _HOUR).chance > 0.98
    assert Fit(_AHEAD, 10 * _HOUR, 5).chance < 0.05
    assert Fit(_AHEAD, 600.0, 100).chance < 0.05
    assert Fit(_AHEAD, None, 100).chance > 0.98


@pytest.mark.parametrize(
    ("seconds", "word"), [(2 * _HOUR, Word.FITS), (1.05 * _HOUR, Word.TIGHT), (0.5 * _HOUR, Word.WONT)]
)
def test_it_comes_to_a_word(seconds: float, word: Word) -> None:
    """From 0.8 on it fits, below 0.2 it doesn't, and between it is tight."""
    assert Fit(_AHEAD, seconds).word() is word


def test_a_word_holds_until_it_is_clearly_wrong() -> None:
    """Just below 0.8 is still what was said before, whichever that was."""
    near = Fit(_AHEAD, 1.28 * _HOUR)
    assert 0.78 < near.chance < 0.8
    assert near.word() is Word.TIGHT
    assert near.word(Word.FITS) is Word.FITS
    assert Fit(_AHEAD, 1.1 * _HOUR).word(Word.FITS) is Word.TIGHT


def test_it_is_told_with_its_figures_and_with_what_helps() -> None:
    """What is left, what is expected, and advice only where it won't fit."""
    assert fit_in_words(Fit(_AHEAD, 2 * _HOUR)) == "2 h of the budget are left: it fits with a probability of 0.99"
    short = word_on(Fit(_AHEAD, 0.5 * _HOUR, 100), Word.WONT)
    assert short.startswith(
        "won't fit: expected about 60 min and 12 boots; 30 min and 100 boots of the budget are left"
    )
    assert short.endswith("give more time, a narrower range, or --kconfig that builds faster")
    assert "give more" not in word_on(Fit(_AHEAD, 2 * _HOUR), Word.FITS)
    assert "at a guess about 60 min" in word_on(Fit(replace(_AHEAD, guess=True), _HOUR), Word.TIGHT)
    assert fit_in_words(Fit(_AHEAD, _HOUR, until=1_700_000_000.0)).startswith("until ")
    assert fit_in_words(Fit(_AHEAD, _HOUR, anew=True)).startswith("another 60 min would come with a resume: ")


# --- of a session ------------------------------------------------------------------------------


def _state(budget: Budget, *facts: Fact, search: SearchRecipe | None = None) -> State:
    """Return a session whose rows are ten minutes apart."""
    plan = replace(a_plan(Path("/tree"), Range(BAD, (GOOD,)), search=search), budget=budget)
    rows = [Row(600.0 * place, fact) for place, fact in enumerate((Opened(plan, {}), *facts))]
    found = replay(rows)
    assert found is not None
    return found


def test_what_is_left_is_counted_from_the_latest_row() -> None:
    """Seconds of work and boots, and the moment if that comes first; nothing where there is no budget."""
    assert fit_of(_state(Budget()), _AHEAD) is None
    state = _state(Budget(max_seconds=_HOUR, max_boots=3), BootBegan(BAD, 1))
    assert fit_of(state, _AHEAD) == Fit(_AHEAD, 3000.0, 2)
    assert fit_of(_state(Budget(max_seconds=_HOUR, until=700.0), BootBegan(BAD, 1)), _AHEAD) == Fit(
        _AHEAD, 100.0, until=700.0
    )
    assert fit_of(state, None) is None


def test_a_used_up_budget_is_taken_as_given_anew() -> None:
    """What a resume would have; its work counts from there."""
    used = _state(Budget(max_seconds=600.0), BootBegan(BAD, 1), Paused("budget", "the time is used up"))
    assert fit_of(used, _AHEAD) == Fit(_AHEAD, 600.0, anew=True)
    resumed = _state(Budget(max_seconds=600.0), BootBegan(BAD, 1), Paused("budget", "used up"), Resumed())
    assert fit_of(resumed, _AHEAD) == Fit(_AHEAD, 600.0)


def test_the_plan_of_a_stopped_session_counts_the_budget_that_it_would_go_on_with() -> None:
    """Used up, it comes anew; another one replaces it; and the time since it stopped doesn't count."""
    clock = FakeClock(1e6)
    used = _state(Budget(max_seconds=600.0), BootBegan(BAD, 1), Paused("budget", "the time is used up"))
    assert fit_of(going_on(used, clock), _AHEAD) == Fit(_AHEAD, 600.0)
    assert fit_of(going_on(used, clock, Budget(max_boots=9)), _AHEAD) == Fit(_AHEAD, None, 9)
    killed = _state(Budget(max_seconds=_HOUR), BootBegan(BAD, 1))
    assert fit_of(going_on(killed, clock), _AHEAD) == Fit(_AHEAD, 3000.0)


def test_once_there_is_an_answer_nobody_asks_whether_it_fits() -> None:
    """The rest only confirms it."""
    assert fit_of(_state(Budget(max_seconds=_HOUR), Found(Culprit(BAD))), _AHEAD) is None


def test_a_plain_bisection_is_foreseen_from_its_own_steps() -> None:
    """Steps of what a step took, boots as many as a step had; surer once there were two."""
    built = [Built(replace(a_kernel(commit), seconds=100.0)) for commit in (BAD, GOOD, OTHER)]
    trials = [
        Tried(Trial(commit, boot, Ending.FIRED, "fired", {}, probe_seconds=10.0, boot_seconds=20.0))
        for boot, commit in enumerate((BAD, GOOD, OTHER), 1)
    ]
    assert ahead(_state(Budget(), *built), 4) is None
    one = ahead(_state(Budget(), built[0], trials[0]), 4)
    more = ahead(_state(Budget(), *built, *trials), 4)
    assert one is not None
    assert more is not None
    assert (one.seconds, one.boots) == (520.0, 4.0)
    assert (more.seconds, more.boots) == (520.0, 4.0)
    assert more.spread < one.spread
    assert ahead(_state(Budget(), *built, *trials), None) is None
