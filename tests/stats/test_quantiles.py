"""Percentiles, intervals and proportions against published tables and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from edgekit import stats
from edgekit.stats.quantiles import _binomial_cdf, interval_ranks


@pytest.mark.parametrize(
    ("p", "floor"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)]
)
def test_floors_are_those_of_mlperf(p: float, floor: int) -> None:
    assert stats.percentile_floor(p) == floor
    assert binom.cdf(1, floor, 1 - p) <= 0.01 < binom.cdf(1, floor - 1, 1 - p)


@pytest.mark.parametrize(("p", "floor"), [(0.9, 64), (0.95, 130), (0.99, 662)])
def test_below_its_floor_a_percentile_is_not_available(p: float, floor: int) -> None:
    assert stats.percentile(range(floor - 1), p) is None
    estimate = stats.percentile(range(floor), p)
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < estimate.value <= estimate.high


@pytest.mark.parametrize(
    ("n", "low", "high", "coverage_percent"),
    [
        *[
            (6, 1, 6, 96.9),
            (7, 1, 7, 98.4),
            (8, 1, 8, 99.2),
            (9, 2, 8, 96.1),
            (10, 2, 9, 97.9),
            (11, 2, 10, 98.8),
            (12, 3, 10, 96.1),
        ],
        *[
            (15, 4, 12, 96.5),
            (17, 5, 13, 95.1),
            (20, 6, 15, 95.9),
            (25, 8, 18, 95.7),
            (30, 10, 21, 95.7),
            (50, 18, 33, 96.7),
            (100, 40, 61, 96.5),
        ],
    ],
)
def test_ranks_of_the_medians_interval(
    n: int, low: int, high: int, coverage_percent: float
) -> None:
    """The table of sign-test intervals for the median as statistics textbooks print it."""
    assert interval_ranks(n, 0.5) == (low, high)
    assert round(
        100 * (binom.cdf(high - 1, n, 0.5) - binom.cdf(low - 1, n, 0.5)), 1
    ) == pytest.approx(coverage_percent)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("n", [1, 7, 1000, 300_000])
def test_binomial_probabilities_are_scipys(n: int, p: float) -> None:
    assert np.allclose(_binomial_cdf(n, p), binom.cdf(np.arange(n), n, p), rtol=0, atol=1e-9)


def test_five_values_bound_no_median() -> None:
    assert stats.median([3, 1, 2, 5, 4]) == stats.QuantileEstimate(3.0, None, None, 5)
    assert stats.median([3, 1, 2, 5, 4, 6]) == stats.QuantileEstimate(3.5, 1.0, 6.0, 6)
    assert stats.median([7]) == stats.QuantileEstimate(7.0, None, None, 1)
    with pytest.raises(ValueError, match="at least one"):
        stats.median([])


@given(n=st.integers(64, 700), p=st.sampled_from([0.1, 0.5, 0.9]))
def test_each_tail_of_an_interval_is_small_enough_and_not_smaller_than_needed(
    n: int, p: float
) -> None:
    ranks = interval_ranks(n, p)
    assert ranks is not None
    low, high = ranks
    assert binom.cdf(low - 1, n, p) <= 0.025 < binom.cdf(low, n, p)
    assert binom.sf(high - 1, n, p) <= 0.025 + 1e-12
    assert binom.sf(high - 2, n, p) > 0.025


def test_the_interval_covers_the_true_percentile_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    truth = float(np.exp(1.2815515655446004 * 0.5))
    estimates = [stats.percentile(generator.lognormal(0, 0.5, 200), 0.9) for _ in range(1000)]
    covered = sum(
        1
        for e in estimates
        if e and e.low is not None and e.high is not None and e.low <= truth <= e.high
    )
    assert 940 <= covered <= 985


def test_a_percentile_is_one_of_the_samples() -> None:
    estimate = stats.percentile(range(1, 101), 0.9)
    assert estimate is not None
    assert estimate.value == 90
    assert estimate.n == 100


def test_mad_is_the_textbook_one() -> None:
    assert stats.mad([1, 1, 2, 2, 4, 6, 9]) == 1.0


def test_outliers_by_hand() -> None:
    """Quartiles 2 and 4: fences at −1 and 7 (mild), −4 and 10 (severe)."""
    values = [1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 8, 11, -2]
    assert tuple(np.quantile(values, [0.25, 0.75])) == (2, 4)
    assert stats.outliers(values) == stats.Outliers(
        low_severe=0, low_mild=1, high_mild=1, high_severe=1, n=13
    )
    assert stats.outliers([5.0] * 20).total == 0


@pytest.mark.parametrize(
    ("runs", "word"),
    [
        ([100, 101, 99, 100], ""),
        ([100, 125, 75, 100], "standard deviation"),
        ([100] * 40 + [155], "slowest"),
        ([100] * 40 + [45], "fastest"),
        ([100], ""),
    ],
)
def test_unstable_runs_are_named(runs: list[float], word: str) -> None:
    assert (word in stats.unstable(runs)) if word else stats.unstable(runs) == ""


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_newcombes_table(successes: int, total: int, low: float, high: float) -> None:
    """Newcombe 1998, table I, method 3."""
    interval = stats.wilson(successes, total)
    assert tuple(round(x, 4) for x in interval) == (low, high)


@given(total=st.integers(1, 10_000), share=st.floats(0, 1))
def test_wilson_is_scipys(total: int, share: float) -> None:
    successes = round(share * total)
    expected = binomtest(successes, total).proportion_ci(method="wilson")
    assert stats.wilson(successes, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_ten_thousand_images() -> None:
    """92 % of 10,000: the interval is about half a point either way."""
    low, high = stats.wilson(9200, 10_000)
    assert (round(100 * low, 2), round(100 * high, 2)) == (91.45, 92.52)


def test_a_drop_is_in_points_and_relative() -> None:
    drop = stats.drop(92.0, 89.0)
    assert drop.points == pytest.approx(3.0)
    assert round(drop.relative_percent, 2) == 3.26
    assert stats.drop(89, 92).points == -3
    assert math.isnan(stats.drop(0, 5).relative_percent)


@pytest.mark.parametrize(("successes", "total"), [(1, 0), (5, 4), (-1, 4)])
def test_what_is_no_proportion_is_refused(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        stats.wilson(successes, total)
