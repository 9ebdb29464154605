"""Statistics whose intervals come from resampling the samples: all that they need is the value by
how often each sample counts."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.statistics import ByWeights, Material, Statistic
from edgekit.stats import (
    QuantileEstimate,
    Shift,
    bootstrap,
    independent_mean_shift,
    paired_bootstrap,
)


def resampled(value: ByWeights) -> Statistic:
    """The statistic of a function of material and weights."""

    def estimate(material: Material) -> QuantileEstimate:
        return bootstrap(partial(value, material), len(material), cost=cost(material))

    def paired(first: Material, second: Material) -> Shift | None:
        return paired_bootstrap(
            partial(value, first), partial(value, second), len(first), cost=cost(first)
        )

    return Statistic(value, estimate, paired, independent_mean_shift)


def divided(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ratios; NaN where a denominator is 0."""
    ratios = np.full(denominators.shape, np.nan)
    np.divide(numerators, denominators, out=ratios, where=denominators > 0)
    return ratios


def mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row without its NaNs; NaN for a row of nothing else."""
    known = np.isfinite(values)
    return divided(np.where(known, values, 0.0).sum(1), known.sum(1).astype(np.float64))


def cost(material: Material) -> int:
    """How many numbers of a sample are looked at, to bound the time of resampling. Sums of a few
    columns cost less than drawing the samples."""
    return max(1, int(material.shape[1]) // 8)
