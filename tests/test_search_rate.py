"""The formulas of one rate against numerical integration and against tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_dags import poisson_with_factor

from bisectbot.interval import interval
from bisectbot.search.rate import POINTS, Rates

RATES = Rates.around(0.05, of_commit=8.0, of_boot=1.5)
SHAPES = (8.0, 1.5)
HALVES = (slice(None, POINTS), slice(POINTS, None))
BOOTS = st.lists(st.tuples(st.floats(0.001, 500), st.integers(0, 4)), max_size=4)


def test_rates_are_even_in_their_logarithm_under_both_opinions() -> None:
    """The same rates twice, the usual one among them, each half with its own shape."""
    first, second = (RATES.lam[half] for half in HALVES)
    assert np.array_equal(first, second)
    assert np.ptp(np.diff(np.log(first))) == pytest.approx(0, abs=1e-9)
    assert first[0] < 0.05 / 1000 < 0.05 * 30 < first[-1]
    assert [set(RATES.steady[half]) for half in HALVES] == [{8.0}, {1.5}]


@given(BOOTS)
@settings(max_examples=60, deadline=None)
def test_the_likelihood_of_a_commit_is_the_integral_over_its_factor(boots: list[tuple[float, int]]) -> None:
    """One factor for all boots of a commit, or one for each: a Poisson process, integrated, with nothing left out."""
    found = np.exp(RATES.log_likelihood(boots))
    seconds, fires = sum(one for one, _ in boots), sum(one for _, one in boots)
    of_commit = poisson_with_factor(RATES.lam[:POINTS], 8.0, seconds, fires)
    each = [poisson_with_factor(RATES.lam[:POINTS], 1.5, *boot) for boot in boots]
    assert found[:POINTS] == pytest.approx(of_commit, rel=1e-6, abs=1e-30)
    assert found[POINTS:] == pytest.approx(np.prod([np.ones(POINTS), *each], axis=0), rel=1e-6, abs=1e-30)


def test_opinions_differ_only_in_whose_factor_it_is() -> None:
    """With equal shapes one boot is as likely by either; two boots aren't, for they share a factor or don't."""
    same = Rates.around(0.05, 3.0, 3.0)
    one, two = (same.log_likelihood(boots) for boots in ([(40.0, 2)], [(20.0, 2), (20.0, 0)]))
    assert one[:POINTS] == pytest.approx(one[POINTS:], rel=1e-12)
    assert two[:POINTS] == pytest.approx(one[:POINTS], rel=1e-12)
    assert np.abs(two[POINTS:] - two[:POINTS]).max() > 0.1


def test_nothing_seen_says_nothing() -> None:
    """No boot, or one without exposure, is certain whatever the rate."""
    assert RATES.log_likelihood([]).tolist() == [0.0] * 2 * POINTS
    assert RATES.log_likelihood([(0.0, 0)]) == pytest.approx(0)


@given(st.floats(0, 2000), st.floats(0, 2000), st.floats(0.01, 3000))
@settings(max_examples=40, deadline=None)
def test_silence_is_a_ratio_of_likelihoods(on_commit: float, in_boot: float, seconds: float) -> None:
    """P(silent for more) is what the longer silence has over the shorter one, of the commit or of the boot."""
    found = RATES.silence(RATES.spent(on_commit, in_boot), np.array([seconds]))[:, 0]
    for half, shape, before in zip(HALVES, SHAPES, (on_commit, in_boot), strict=True):
        longer, shorter = (poisson_with_factor(RATES.lam[half], shape, one, 0) for one in (before + seconds, before))
        assert found[half] == pytest.approx(longer / shorter, rel=1e-5, abs=1e-12)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.1, 2000))
@settings(max_examples=40, deadline=None)
def test_running_is_the_area_under_the_silence(on_commit: float, in_boot: float, seconds: float) -> None:
    """The expected time to a fire, cut off: the integral of P(still silent) up to there."""
    spent = RATES.spent(on_commit, in_boot)
    moments = seconds * np.linspace(0, 1, 3001) ** 3  # denser where it falls fast
    area = np.trapezoid(RATES.silence(spent, moments), moments, axis=1)
    assert RATES.running(spent, np.array([seconds]))[:, 0] == pytest.approx(area, rel=2e-4)


def test_silence_and_running_keep_their_shapes() -> None:
    """[rates, seconds]: silence falls with time and rate, running grows with time and stays below it."""
    spent, seconds = RATES.spent(10.0, 5.0), np.geomspace(0.1, 1e4, 30)
    silent, until = RATES.silence(spent, seconds), RATES.running(spent, seconds)
    assert silent.shape == until.shape == (2 * POINTS, 30)
    assert np.all(np.diff(silent, axis=1) < 0)
    assert np.all(np.diff(silent[:POINTS], axis=0) < 0)
    assert np.all(np.diff(until, axis=1) >= 0)
    assert np.all(until[:, 0] < until[:, -1])
    assert np.all(until <= seconds * (1 + 1e-9))


def test_long_silence_makes_more_silence_likelier() -> None:
    """What was silent for long probably has a small factor; a boot even likelier."""
    seconds = np.array([30.0])
    fresh, tried = (RATES.silence(RATES.spent(one, one), seconds)[:, 0] for one in (0.0, 300.0))
    assert np.all(tried > fresh)
    assert np.all(tried[POINTS:] > tried[:POINTS])


# --- intervals


@pytest.mark.parametrize(
    ("fires", "low", "high"),
    [
        (1, 0.0253178, 5.571643),
        (2, 0.242209, 7.224688),
        (3, 0.618672, 8.767273),
        (5, 1.623486, 11.668332),
        (10, 4.795389, 18.390356),
        (20, 12.216520, 30.888380),
        (100, 81.363900, 121.627000),
    ],
)
def test_intervals_are_those_of_the_tables(fires: int, low: float, high: float) -> None:
    """Half of chi-square's 2.5 % quantile at 2n degrees, and of its 97.5 % at 2n + 2."""
    assert interval(fires, 1.0) == pytest.approx((low, high), rel=2e-5)
    assert interval(fires, 500.0) == pytest.approx((low / 500, high / 500), rel=2e-5)


def test_without_a_fire_there_is_a_bound() -> None:
    """The rule of three at 95 %: less than 3.0 in all the time; at 99 % it is 4.6."""
    assert interval(0, 100.0) == pytest.approx((0, 0.0299573), rel=1e-5)
    assert interval(0, 100.0, 0.99) == pytest.approx((0, 0.0460517), rel=1e-5)


@pytest.mark.parametrize("fires", [0, 3])
def test_without_exposure_nothing_is_known(fires: int) -> None:
    """Any rate is possible."""
    assert interval(fires, 0.0) == (0.0, math.inf)


def test_intervals_grow_with_fires_and_with_confidence() -> None:
    """More fires move both ends up; more confidence moves them apart; the estimate lies between."""
    found = [interval(fires, 60.0) for fires in range(1, 40)]
    assert found == sorted(found)
    assert all(low < fires / 60 < high for fires, (low, high) in enumerate(found, 1))
    (low, high), (lower, higher) = interval(7, 60.0, 0.8), interval(7, 60.0, 0.99)
    assert lower < low < high < higher


def test_huge_counts_come_near_the_normal_distribution() -> None:
    """Many fires neither overflow nor lose the tail."""
    fires = 1500
    low, high = interval(fires, 1.0)
    # the cube root of a Gamma variable is nearly normal (Wilson and Hilferty)
    expected = [
        shape * (1 - 1 / (9 * shape) + sign * 1.959964 / (3 * math.sqrt(shape))) ** 3
        for shape, sign in ((fires, -1), (fires + 1, 1))
    ]
    assert (low, high) == pytest.approx(tuple(expected), rel=1e-5)
