"""Intervals of means: Student's quantiles against his table, and how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.stats import QuantileEstimate, independent_mean_shift, mean_interval, paired_mean_shift
from edgekit.stats.means import student_quantile


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(7, 2.365), (10, 2.228), (30, 2.042), (120, 1.980)]
)
def test_students_quantiles_are_those_of_the_table(degrees: int, quantile: float) -> None:
    assert round(student_quantile(0.975, degrees), 3) == quantile


@pytest.mark.parametrize("size", [8, 30, 300])
def test_an_interval_covers_the_true_mean(size: int) -> None:
    drawn = np.random.default_rng(1).normal(3.0, 2.0, (2000, size))
    intervals = [mean_interval(values) for values in drawn]
    covered = sum((e.low or 0) <= 3.0 <= (e.high or 0) for e in intervals)
    assert covered == pytest.approx(1900, abs=30)


def test_paired_samples_decide_where_unrelated_ones_do_not() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(10, 5, 200)
    second = first - 0.1 + generator.normal(0, 0.05, 200)
    paired = paired_mean_shift(first, second)
    unrelated = independent_mean_shift(mean_interval(first), mean_interval(second))
    assert unrelated is not None
    assert 0.08 < paired.low < 0.1 < paired.high < 0.12
    assert unrelated.low < 0 < unrelated.high
    assert unrelated.mid == pytest.approx(paired.mid)


def test_equal_samples_do_not_differ() -> None:
    values = np.random.default_rng(1).normal(0, 1, 50)
    shift = paired_mean_shift(values, values)
    assert (shift.low, shift.mid, shift.high) == (0, 0, 0)


def test_unrelated_intervals_cover_the_true_shift() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        first = mean_interval(generator.normal(5, 1, 40))
        second = mean_interval(generator.normal(4, 3, 60))
        shift = independent_mean_shift(first, second)
        assert shift is not None
        covered += shift.low <= 1 <= shift.high
    assert covered == pytest.approx(950, abs=25)


def test_without_an_interval_there_is_no_shift() -> None:
    bounded = mean_interval(np.arange(20.0))
    assert independent_mean_shift(bounded, QuantileEstimate(1.0, None, None, 3)) is None
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_mean_shift([1.0] * 8, [1.0] * 9)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_mean_shift([1.0] * 7, [1.0] * 7)
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=40))
def test_turning_the_sides_turns_the_sign(values: list[float]) -> None:
    first, second = np.asarray(values), np.asarray(values[::-1])
    shift, turned = paired_mean_shift(first, second), paired_mean_shift(second, first)
    assert (shift.low, shift.high) == pytest.approx((-turned.high, -turned.low))
