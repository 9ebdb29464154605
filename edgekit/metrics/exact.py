"""Statistics whose intervals are known by formula: a share of right answers, and a mean. One column
of material."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit import stats
from edgekit.metrics.statistics import Material, Statistic, Weights
from edgekit.stats import QuantileEstimate, Shift
from edgekit.stats.means import FEWEST_SAMPLES


def _mean(material: Material, weights: Weights) -> NDArray[np.float64]:
    return np.asarray(weights @ material[:, 0] / weights.sum(1))


def _percent(material: Material, weights: Weights) -> NDArray[np.float64]:
    return 100 * _mean(material, weights)


def _share(material: Material) -> QuantileEstimate:
    """Wilson's interval, in percent."""
    right = int(material[:, 0].astype(np.bool_).sum())
    low, high = stats.wilson(right, len(material))
    return QuantileEstimate(100 * right / len(material), 100 * low, 100 * high, len(material))


def _paired_shares(first: Material, second: Material) -> Shift:
    right = first[:, 0].astype(np.bool_)
    other = second[:, 0].astype(np.bool_)
    return stats.paired_shift(int((right & ~other).sum()), int((other & ~right).sum()), len(right))


def _unrelated_shares(first: QuantileEstimate, second: QuantileEstimate) -> Shift:
    return stats.independent_shift(_right(first), first.n, _right(second), second.n)


def _right(share: QuantileEstimate) -> int:
    """How many samples of a share in percent are right."""
    return round(share.value * share.n / 100)


def _paired_means(first: Material, second: Material) -> Shift | None:
    enough = len(first) >= FEWEST_SAMPLES
    return stats.paired_mean_shift(first[:, 0], second[:, 0]) if enough else None


PROPORTION = Statistic(_percent, _share, _paired_shares, _unrelated_shares, truth_values=True)
"""The share of samples that are right, in percent."""

MEAN = Statistic(
    _mean,
    lambda material: stats.mean_interval(material[:, 0]),
    _paired_means,
    stats.independent_mean_shift,
)
"""The mean of one number for each sample."""
