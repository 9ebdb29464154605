"""Intervals of metrics whose samples are the steps of series. Neighbouring steps resemble each
other, so whole series are resampled (Field & Welsh, "Bootstrapping clustered data", JRSS B 69,
2007): intervals over single steps would be too narrow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.resampled import cost
from edgekit.metrics.statistics import Material, Statistic, Weights
from edgekit.stats import (
    QuantileEstimate,
    Shift,
    bootstrap,
    independent_mean_shift,
    paired_bootstrap,
)

MOST_WEIGHTS = 1 << 21
"""Weights of steps held at a time."""


def over_series(statistic: Statistic, steps: int) -> Statistic:
    """A statistic of samples that are the steps of series, one series after the other; itself where
    each sample is a series of its own."""
    if steps == 1:
        return statistic
    return replace(
        statistic,
        estimate=partial(series_estimate, statistic, steps=steps),
        paired=partial(series_shift, statistic, steps=steps),
        unrelated=independent_mean_shift,
    )


def series_estimate(statistic: Statistic, material: Material, steps: int) -> QuantileEstimate:
    """The value over all steps with its interval over series of so many; the bounds are None below
    20 series.

    Raises ValueError: no whole series."""
    series = _count(material, steps)
    by_series = partial(_by_series, statistic, material, steps)
    estimate = bootstrap(by_series, series, cost=steps * cost(material))
    return QuantileEstimate(estimate.value, estimate.low, estimate.high, len(material))


def series_shift(
    statistic: Statistic, first: Material, second: Material, steps: int
) -> Shift | None:
    """The first value less the second, of the same series in the same order; None below 20 series.

    Raises ValueError: no whole series."""
    return paired_bootstrap(
        partial(_by_series, statistic, first, steps),
        partial(_by_series, statistic, second, steps),
        _count(first, steps),
        cost=steps * cost(first),
    )


def _count(material: Material, steps: int) -> int:
    if len(material) % steps:
        raise ValueError(f"{len(material)} samples are no whole series of {steps} steps")
    return len(material) // steps


def _by_series(
    statistic: Statistic, material: Material, steps: int, weights: Weights
) -> NDArray[np.float64]:
    """The values by how often each series counts, of shape (resamples, series)."""
    rows = max(1, MOST_WEIGHTS // len(material))
    values = [
        statistic.value(material, np.repeat(weights[start : start + rows], steps, axis=1))
        for start in range(0, len(weights), rows)
    ]
    return np.concatenate(values)
