"""Intervals of values that are no mean over samples, by resampling the samples. Pure; which value
it is, is a function of how often each sample counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgekit.stats.proportions import Shift
from edgekit.stats.quantiles import CONFIDENCE, QuantileEstimate

FEWEST_RESAMPLED = 20
"""Samples below which no interval is given: so few do not show how samples vary."""
MOST_RESAMPLES = 1_999
FEWEST_RESAMPLES = 399
DRAWS = 5_000_000
"""Samples drawn at most, unless the fewest resamples need more: some tenths of a second."""
JACKKNIFE_GROUPS = 200
CHUNK = 1 << 21
"""Weights held at a time."""

Weighted = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From weights of shape (resamples, samples) to one value for each resample; NaN where it has
none."""


def bootstrap(
    value: Weighted, samples: int, *, cost: int = 1, confidence: float = CONFIDENCE, seed: int = 0
) -> QuantileEstimate:
    """The value over all samples with its BCa interval (Efron, "Better bootstrap confidence
    intervals", JASA 82, 1987; Efron & Tibshirani, An Introduction to the Bootstrap, 1993, §14.3).

    The acceleration comes from a jackknife that leaves out one of at most 200 groups at a time.
    Resamples are drawn from a seeded generator: the same samples give the same interval. There are
    1,999, and fewer (399 at least) where samples times `cost` are many. The bounds are None below
    20 samples, and where a tenth of the resamples have no value.

    Args:
        value: The value by weights; weights of 1 are the samples as they are.
        samples: How many there are.
        cost: How many numbers of a sample are looked at, to bound the time.
        confidence: Of the interval, 0 to 1.
        seed: Of the generator.
    """
    centre = float(value(np.ones((1, samples)))[0])
    if samples < FEWEST_RESAMPLED or not np.isfinite(centre):
        return QuantileEstimate(centre, None, None, samples)
    resamples = max(FEWEST_RESAMPLES, min(MOST_RESAMPLES, DRAWS // (samples * cost)))
    generator = np.random.default_rng(seed)
    values = np.concatenate([value(w) for w in _counts(generator, resamples, samples)])
    usable = values[np.isfinite(values)]
    if len(usable) < 0.9 * len(values):
        return QuantileEstimate(centre, None, None, samples)
    shares = _adjusted_shares(usable, centre, _acceleration(value, samples), confidence)
    low, high = np.quantile(usable, shares)
    return QuantileEstimate(centre, float(low), float(high), samples)


def paired_bootstrap(
    first: Weighted,
    second: Weighted,
    samples: int,
    *,
    cost: int = 1,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Shift | None:
    """The first value less the second, of the same samples in the same order: both are computed of
    the same resamples. None where `bootstrap` gives no interval."""
    estimate = bootstrap(
        lambda weights: first(weights) - second(weights),
        samples,
        cost=cost,
        confidence=confidence,
        seed=seed,
    )
    if estimate.low is None or estimate.high is None:
        return None
    return Shift(estimate.low, estimate.value, estimate.high)


def _counts(
    generator: np.random.Generator, resamples: int, samples: int
) -> Iterator[NDArray[np.float64]]:
    """How often each sample is drawn, for some resamples at a time."""
    step = max(1, CHUNK // samples)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(0, samples, (rows, samples))
        drawn += samples * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * samples)
        yield counts.reshape(rows, samples).astype(np.float64)


def _acceleration(value: Weighted, samples: int) -> float:
    """How fast the spread changes with the value: the skewness of the jackknife's values, over 6
    (Efron & Tibshirani, formula 14.15). Groups have the same: their sums are less skewed by as much
    as there are fewer of them."""
    groups = np.arange(samples) % min(samples, JACKKNIFE_GROUPS)
    step = max(1, CHUNK // samples)
    numbers = np.arange(groups.max() + 1)
    left_out = np.concatenate(
        [
            value((groups[None, :] != numbers[start : start + step, None]).astype(np.float64))
            for start in range(0, len(numbers), step)
        ]
    )
    if not np.isfinite(left_out).all():
        return 0.0
    falls = left_out.mean() - left_out
    spread = float((falls**2).sum())
    return float((falls**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _adjusted_shares(
    values: NDArray[np.float64], centre: float, acceleration: float, confidence: float
) -> list[float]:
    """Which quantiles of the resamples' values bound the interval (formula 14.10). Values equal to
    the centre count half on either side: a share has many such."""
    below = float((values < centre).mean() + (values == centre).mean() / 2)
    edge = 1 / (len(values) + 1)
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, edge), 1 - edge))
    shares = []
    for share in ((1 - confidence) / 2, (1 + confidence) / 2):
        moved = bias + normal.inv_cdf(share)
        shares.append(normal.cdf(bias + moved / max(0.1, 1 - acceleration * moved)))
    return shares
