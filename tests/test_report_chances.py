"""Probabilities and spans of time in figures: none promises more than is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisectbot.report.chances import equation, figure, probability, span, times


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
@settings(max_examples=500)
def test_no_probability_is_rounded_to_certainty(chance: float) -> None:
    """Neither 0 nor 1 unless it is so; never more than it is where it counts, and never far off."""
    told = figure(chance)
    if told == "< 0.000001":
        assert chance < 1e-6
        return
    if told == "> 0.999999":
        assert chance > 0.999999
        return
    value = float(told)
    assert 0 < value < 1
    if chance >= 0.5:
        assert value <= chance
        assert 1 - value <= 1.2 * (1 - chance) + 1e-6
    else:
        assert value == pytest.approx(chance, rel=0.051, abs=5.1e-7)


@pytest.mark.parametrize(
    ("chance", "told"),
    [
        (0.0, "0"),
        (1.0, "> 0.999999"),
        (math.nextafter(1, 2), "> 0.999999"),  # sums of masses end a hair above
        (0.99344, "0.9934"),
        (0.99, "0.99"),
        (0.9999, "0.9999"),
        (0.939, "0.939"),
        (0.57, "0.57"),
        (0.5, "0.50"),
        (0.0123, "0.012"),
        (0.00004567, "0.000046"),
        (1e-7, "< 0.000001"),
        (5e-324, "< 0.000001"),
        (math.nan, "unknown"),
    ],
)
def test_a_figure_keeps_what_matters(chance: float, told: str) -> None:
    """Of what is likely, the digits of what is missing; of what isn't, two digits."""
    assert figure(chance) == told


def test_the_ends_of_the_figures_are_words_in_a_sentence() -> None:
    """A sentence has no signs, an equation has no word."""
    assert probability(1 - 1e-9) == "more than 0.999999"
    assert probability(1e-9) == "less than 0.000001"
    assert equation("culprit", 1 - 1e-9) == "P(culprit) > 0.999999"
    assert equation("culprit", 0.99344) == "P(culprit) = 0.9934"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0 s"),
        (0.05, "0.05 s"),
        (12.345, "12 s"),
        (99.4, "99 s"),
        (100.0, "1.7 min"),
        (1800.0, "30 min"),
        (6000.0, "1.7 h"),
        (36_000.0, "10 h"),
    ],
)
def test_spans_have_two_figures(seconds: float, told: str) -> None:
    """Seconds, then minutes, then hours."""
    assert span(seconds) == told


def test_counts_are_words() -> None:
    """Once is once."""
    assert [times(number) for number in (1, 2, 30)] == ["once", "2 times", "30 times"]
