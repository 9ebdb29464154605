"""Bootstrap intervals: how often they cover the truth, and how much narrower pairing makes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import stats
from edgekit.metrics.ratios import class_min, mean_ratio, root_mean
from edgekit.metrics.statistics import Weights, statistic_of


def of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[:, None]


def test_the_interval_is_scipys() -> None:
    from scipy.stats import bootstrap

    errors = np.random.default_rng(1).gamma(1.0, 2.0, 120)
    ours = stats.bootstrap(lambda w: root_mean(of(errors), w), len(errors))
    theirs = bootstrap(
        (errors,),
        lambda x, axis: np.sqrt(x.mean(axis=axis)),
        n_resamples=9_999,
        method="BCa",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours.value == pytest.approx(np.sqrt(errors.mean()))
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_the_same_samples_give_the_same_interval() -> None:
    values = of(np.random.default_rng(0).random(50))
    assert len({stats.bootstrap(lambda w: root_mean(values, w), 50) for _ in range(2)}) == 1


def skewed(generator: np.random.Generator) -> NDArray[np.float64]:
    return of(generator.gamma(1.0, 2.0, 80))


def masks(generator: np.random.Generator) -> NDArray[np.float64]:
    unions = generator.poisson(30, (80, 3)).astype(float)
    return np.concatenate([generator.binomial(unions.astype(int), 0.7), unions], 1)


@pytest.mark.parametrize(
    ("draw", "value", "truth"), [(skewed, root_mean, 2**0.5), (masks, mean_ratio, 70.0)]
)
def test_intervals_cover_the_truth_as_often_as_they_say(
    draw: Callable[[np.random.Generator], Any], value: Callable[..., Any], truth: float
) -> None:
    covered = 0
    for seed in range(200):
        material = draw(np.random.default_rng(seed))
        interval = stats.bootstrap(partial(value, material), len(material))
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= truth <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_the_shift_of_two_builds_on_the_same_samples_is_narrow() -> None:
    generator = np.random.default_rng(3)
    classes = generator.integers(0, 5, 400)
    right = generator.random(400) < 0.8
    other = right ^ (generator.random(400) < 0.02)
    first, second = (np.stack([classes, answers], 1).astype(float) for answers in (right, other))
    statistic = statistic_of("class_min")
    paired = statistic.paired(first, second)
    unrelated = statistic.unrelated(statistic.estimate(first), statistic.estimate(second))
    assert paired is not None
    assert unrelated is not None
    assert paired.mid == unrelated.mid
    assert paired.high - paired.low < 0.6 * (unrelated.high - unrelated.low)
    assert paired.low <= paired.mid <= paired.high


def test_a_build_is_no_worse_than_itself() -> None:
    material = np.stack([np.arange(40) % 4, np.arange(40) % 3 == 0], 1).astype(float)
    shift = statistic_of("class_min").paired(material, material)
    assert shift == stats.Shift(0.0, 0.0, 0.0)


def test_resamples_without_a_value() -> None:
    def rarely(weights: Weights) -> NDArray[np.float64]:
        return np.where(weights[:, 0] > 0, class_min(np.ones((30, 2)), weights), np.nan)

    assert stats.bootstrap(rarely, 30).low is None
