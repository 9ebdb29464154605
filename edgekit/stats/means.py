"""Means over samples and how far two of them are apart, with 95 % intervals. As proportions.py for
right and wrong, but for any number a sample."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgekit.stats.proportions import Shift
from edgekit.stats.quantiles import CONFIDENCE, QuantileEstimate

FEWEST_SAMPLES = 8
"""Below it no interval is given: the mean is not close enough to normal, and neither is the
approximation of Student's quantile."""


def mean_interval(values: ArrayLike, *, confidence: float = CONFIDENCE) -> QuantileEstimate:
    """The mean with Student's interval; its bounds are None below 8 values.

    Raises ValueError without values."""
    samples = np.asarray(values, dtype=np.float64)
    if samples.size == 0:
        raise ValueError("a mean needs at least one value")
    mean = float(samples.mean())
    if len(samples) < FEWEST_SAMPLES:
        return QuantileEstimate(mean, None, None, len(samples))
    half = _half_width(samples, confidence)
    return QuantileEstimate(mean, mean - half, mean + half, len(samples))


def paired_mean_shift(
    first: ArrayLike, second: ArrayLike, *, confidence: float = CONFIDENCE
) -> Shift:
    """The first mean less the second, of the same samples in the same order: Student's interval of
    the samples' differences.

    Raises ValueError: fewer than 8 samples, or not equally many."""
    values = np.asarray(first, dtype=np.float64)
    others = np.asarray(second, dtype=np.float64)
    if values.shape != others.shape or len(values) < FEWEST_SAMPLES:
        raise ValueError(f"{values.shape} and {others.shape} samples cannot be paired")
    differences = values - others
    mean = float(differences.mean())
    half = _half_width(differences, confidence)
    return Shift(mean - half, mean, mean + half)


def _half_width(samples: NDArray[np.float64], confidence: float) -> float:
    """Half the width of Student's interval of a mean."""
    error = float(samples.std(ddof=1)) / math.sqrt(len(samples))
    return student_quantile((1 + confidence) / 2, len(samples) - 1) * error


def independent_mean_shift(first: QuantileEstimate, second: QuantileEstimate) -> Shift | None:
    """The first mean less the second, of unrelated samples, from their intervals alone; None where
    one has none.

    The distances of the bounds are added as squares (Zou & Donner, "Construction of confidence
    limits about effect measures", Statistics in Medicine 27, 2008), as Newcombe does it for
    proportions."""
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    middle = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Shift(middle - below, middle, middle + above)


def student_quantile(share: float, degrees: int) -> float:
    """The quantile of Student's t distribution, for 7 degrees of freedom and more right to three
    digits: the expansion of Abramowitz & Stegun, 26.7.5.

    Not scipy's: a machine that only measures has none."""
    z: float = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, 1))
