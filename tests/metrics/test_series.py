"""Metrics of series: intervals are over series, not over their steps."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.metrics import MetricKind, MetricValue, metric_value
from edgekit.metrics.series import series_estimate, series_shift
from edgekit.metrics.statistics import STATISTICS, statistic_of
from edgekit.verdict.metrics import metric_drop

STEPS, SERIES = 50, 40
GENERATOR = np.random.default_rng(7)
RIGHT = GENERATOR.random((SERIES, 1)) < np.full((SERIES, STEPS), 0.8)
"""Each series is all right or all wrong: as many facts as there are series."""


def share(right: object, steps: int) -> MetricValue:
    kind = MetricKind(
        name="top1",
        label="top-1",
        unit="%",
        higher_is_better=True,
        statistic="proportion",
        gate_margin=1.0,
    )
    return metric_value(kind, np.asarray(right).ravel(), steps=steps, keep_samples=True)


def test_steps_that_repeat_their_series_tell_no_more_than_one_step() -> None:
    by_series = share(RIGHT, STEPS)
    by_first_step = share(RIGHT[:, 0], 1)
    by_steps = share(RIGHT, 1)
    assert by_series.value == by_first_step.value == by_steps.value
    assert (by_series.samples, by_series.steps) == (STEPS * SERIES, STEPS)

    def width(value: MetricValue) -> float:
        assert value.low is not None
        assert value.high is not None
        return value.high - value.low

    assert width(by_series) == pytest.approx(width(by_first_step), rel=0.15)
    assert width(by_steps) < width(by_series) / 4


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """300 draws of 40 series whose steps are 90 % alike: of 95 % intervals over series, at least
    nine in ten hold the truth; of those over steps not even half do."""
    generator = np.random.default_rng(1)
    covered = {1: 0, STEPS: 0}
    for _ in range(300):
        of_series = generator.normal(0, 1, (SERIES, 1))
        values = of_series + generator.normal(0, 0.3, (SERIES, STEPS))
        for steps in covered:
            statistic = statistic_of("mean")
            material = values.reshape(-1, 1)
            estimate = (
                series_estimate(statistic, material, steps)
                if steps > 1
                else statistic.estimate(material)
            )
            assert estimate.low is not None
            assert estimate.high is not None
            covered[steps] += estimate.low <= 0 <= estimate.high
    assert covered[STEPS] >= 270
    assert covered[1] < 150


@pytest.mark.parametrize("name", ["proportion", "mean", "root_mean", "class_mean", "roc_auc"])
def test_series_of_one_step_are_samples(name: str) -> None:
    """Every statistic has a value by weights that is its own value."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 200)
    columns = {
        "class_mean": np.stack([labels, generator.random(200)], 1),
        "roc_auc": np.stack([generator.random(200), labels], 1),
    }
    material = columns.get(name, labels[:, None]).astype(np.float64)
    statistic = statistic_of(name)
    assert name in STATISTICS
    estimate, expected = series_estimate(statistic, material, 1), statistic.estimate(material)
    assert estimate.value == pytest.approx(expected.value)
    assert expected.low is not None
    assert estimate.low == pytest.approx(expected.low, abs=0.15 * abs(expected.value))


def test_the_same_series_are_paired() -> None:
    worse = RIGHT.copy()
    worse[:, :1] = False
    same_data = metric_drop(share(RIGHT, STEPS), share(worse, STEPS), same_data=True)
    other_data = metric_drop(share(RIGHT, STEPS), share(worse, STEPS), same_data=False)
    assert same_data is not None
    assert other_data is not None
    assert same_data.low > 0, "each series fell by a step"
    assert other_data.low < 0, "of other series, that is nothing"


def test_few_or_cut_series() -> None:
    few = share(RIGHT[:19], STEPS)
    assert (few.low, few.high) == (None, None)
    assert metric_drop(few, few, same_data=True) is None
    with pytest.raises(ValueError, match="no whole series of 3"):
        share(RIGHT, 3)
    material = RIGHT.reshape(-1, 1).astype(np.float64)
    with pytest.raises(ValueError, match="no whole series of 3"):
        series_shift(statistic_of("mean"), material, material, 3)
