"""A share of observations in groups: its interval covers the truth where that of independent ones
does not."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.stats import clustered_share, share_shift, wilson
from edgekit.stats.clusters import ClusteredShare

RUNS = 10


def test_groups_that_are_alike_are_as_good_as_independent_ones() -> None:
    even = clustered_share([5] * RUNS, [100] * RUNS)
    low, high = wilson(50, 1000)
    assert even.share == 0.05
    assert (even.count, even.total, even.groups) == (50, 1000, RUNS)
    assert even.low < low < 0.05 < high < even.high  # for ten runs, Student's quantile
    assert even.high - even.low < 1.2 * (high - low)


def test_misses_of_one_run_say_little() -> None:
    even = clustered_share([5] * RUNS, [100] * RUNS)
    uneven = clustered_share([50] + [0] * (RUNS - 1), [100] * RUNS)
    assert uneven.share == even.share
    assert uneven.high > 3 * even.high


@pytest.mark.parametrize(
    ("counts", "totals", "low", "high"),
    [([0] * 10, [100] * 10, 0.0, 0.005), ([100] * 10, [100] * 10, 0.995, 1.0)],
)
def test_all_or_nothing(counts: list[int], totals: list[int], low: float, high: float) -> None:
    share = clustered_share(counts, totals)
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_a_single_run_is_taken_as_it_is() -> None:
    share = clustered_share([3], [50])
    assert (share.low, share.high) == wilson(3, 50)


def test_what_is_no_proportion() -> None:
    for counts, totals in (([], []), ([0], [0]), ([2], [1]), ([1, 1], [2]), ([-1], [1])):
        with pytest.raises(ValueError, match="proportion"):
            clustered_share(counts, totals)


def simulated(generator: np.random.Generator) -> ClusteredShare:
    """Ten runs of 200 inferences whose rates differ around 5 %."""
    rates = generator.beta(2, 38, RUNS)
    return clustered_share(generator.binomial(200, rates).tolist(), [200] * RUNS)


def test_the_interval_covers_the_truth() -> None:
    generator = np.random.default_rng(0)
    shares = [simulated(generator) for _ in range(2000)]
    covered = np.mean([share.low <= 0.05 <= share.high for share in shares])
    pooled = [wilson(share.count, share.total) for share in shares]
    covered_by_pooled = np.mean([low <= 0.05 <= high for low, high in pooled])
    assert 0.92 <= covered <= 0.98
    assert covered_by_pooled < 0.75  # what inferences that are taken as independent would promise


def test_the_difference_of_two_covers_it_too() -> None:
    generator = np.random.default_rng(1)
    shifts = [share_shift(simulated(generator), simulated(generator)) for _ in range(2000)]
    assert 0.92 <= np.mean([shift.low <= 0 <= shift.high for shift in shifts]) <= 0.99
    first, second = simulated(generator), clustered_share([0] * RUNS, [200] * RUNS)
    shift = share_shift(first, second)
    assert shift.mid == pytest.approx(100 * first.share)
    assert shift.low > 0
