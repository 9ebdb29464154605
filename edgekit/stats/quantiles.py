"""Percentiles and medians with distribution-free intervals, spread, outliers, and proportions. One
sample at a time; comparing two is compare.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
FLOOR_CONFIDENCE = 0.99
UNSTABLE_STDEV_FRACTION = 0.10
UNSTABLE_EXTREME_FRACTION = 0.50


@dataclass(frozen=True)
class QuantileEstimate:
    """A quantile of `n` values in their own unit. `low` and `high` bound it; None where `n` is too
    small for the confidence asked for."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Outliers:
    """Counts of values beyond Tukey's fences, by side and severity. They stay in the data."""

    low_severe: int
    low_mild: int
    high_mild: int
    high_severe: int
    n: int

    @property
    def total(self) -> int:
        return self.low_severe + self.low_mild + self.high_mild + self.high_severe


@dataclass(frozen=True)
class Drop:
    """A fall from one percentage to another, in percentage points and relative to where it
    started."""

    points: float
    relative_percent: float


@lru_cache(maxsize=64)
def percentile_floor(p: float, confidence: float = FLOOR_CONFIDENCE) -> int:
    """The fewest samples from which the `p` quantile (0 < p < 1) may be quoted.

    The smallest n with P[Binomial(n, 1 − p) ≤ 1] ≤ 1 − confidence: even with the largest value
    thrown away, the sample then reaches beyond the quantile with that confidence. This is the
    early-stopping rule of MLPerf Inference (inference_policies, "Early Stopping"): 64 for p90, 130
    for p95, 662 for p99."""
    if not 0 < p < 1:
        raise ValueError(f"p must lie between 0 and 1, not {p}")

    def enough(n: int) -> bool:
        return p**n + n * (1 - p) * p ** (n - 1) <= 1 - confidence

    high = 2
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def percentile(
    samples: ArrayLike, p: float, *, confidence: float = CONFIDENCE
) -> QuantileEstimate | None:
    """The `p` quantile (0 < p < 1) of samples with its order-statistic interval; None below
    `percentile_floor(p)`.

    The value is the nearest-rank quantile, one of the samples. The interval treats the samples as
    independent; samples of one process are not quite, so it is the narrowest that can be justified,
    and runs that disagree are reported by `unstable`."""
    values = _sorted(samples)
    if len(values) < percentile_floor(p):
        return None
    rank = max(1, math.ceil(round(len(values) * p, 9)))
    low, high = _interval(values, p, confidence)
    return QuantileEstimate(float(values[rank - 1]), low, high, len(values))


def median(values: ArrayLike, *, confidence: float = CONFIDENCE) -> QuantileEstimate:
    """The median with its order-statistic interval, which needs at least 6 values at 95 %. For run
    medians the values are one median per run.

    Raises ValueError without values.
    """
    ordered = _sorted(values)
    if len(ordered) == 0:
        raise ValueError("a median needs at least one value")
    low, high = _interval(ordered, 0.5, confidence)
    return QuantileEstimate(float(np.median(ordered)), low, high, len(ordered))


def interval_ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """1-based ranks of the order statistics that bound the `p` quantile of `n` values; None when n
    is too small.

    Each tail is at most (1 − confidence)/2. The number of values below the quantile is Binomial(n,
    p) whatever the distribution (Conover, Practical Nonparametric Statistics, 3rd ed., §3.2)."""
    tail = (1 - confidence) / 2
    below = _binomial_cdf(n, p)
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return (low, high) if low >= 1 and high <= n else None


def _binomial_cdf(n: int, p: float) -> NDArray[np.float64]:
    """The probabilities of at most 0, 1, …, n − 1 successes in n trials. In logarithms up to the
    largest, as n may be a million."""
    k = np.arange(1, n + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k) + math.log(p / (1 - p)))])
    sums = np.cumsum(np.exp(logs - logs.max()))
    below: NDArray[np.float64] = sums[:-1] / sums[-1]
    return below


def mad(values: ArrayLike) -> float:
    """The median absolute deviation from the median, in the values' unit, not scaled to a normal's
    standard deviation."""
    array = np.asarray(values, dtype=float)
    return float(np.median(np.abs(array - np.median(array))))


def outliers(samples: ArrayLike) -> Outliers:
    """Classify by Tukey's fences as criterion does: mild beyond 1.5, severe beyond 3 interquartile
    ranges from the quartiles."""
    values = np.asarray(samples, dtype=float)
    first, third = np.quantile(values, [0.25, 0.75])
    spread = third - first
    low_severe = int((values < first - 3 * spread).sum())
    high_severe = int((values > third + 3 * spread).sum())
    low = int((values < first - 1.5 * spread).sum())
    high = int((values > third + 1.5 * spread).sum())
    return Outliers(low_severe, low - low_severe, high - high_severe, high_severe, len(values))


def unstable(run_values: ArrayLike) -> str:
    """Why run values disagree too much to be trusted, or an empty string.

    The rule of pyperf (`pyperf check`): standard deviation at least 10 % of the mean, or an extreme
    at least 50 % away from it."""
    values = np.asarray(run_values, dtype=float)
    mean = float(values.mean())
    if len(values) < 2 or mean == 0:
        return ""
    deviation = float(values.std(ddof=1)) / mean
    if deviation >= UNSTABLE_STDEV_FRACTION:
        return f"the standard deviation of the runs is {100 * deviation:.0f} % of their mean"
    extremes = {"fastest": float(values.min()), "slowest": float(values.max())}
    for name, value in extremes.items():
        if abs(value / mean - 1) >= UNSTABLE_EXTREME_FRACTION:
            return f"the {name} run is {100 * abs(value / mean - 1):.0f} % off the mean"
    return ""


def wilson(
    successes: float, total: float, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The score interval of a proportion, as fractions (Wilson 1927; Newcombe, Statistics in
    Medicine 17, 1998, method 3). Of observations that are not independent, `total` is how many
    they are worth.

    Raises ValueError unless 0 ≤ successes ≤ total and total > 0.
    """
    if not 0 <= successes <= total or total == 0:
        raise ValueError(f"{successes} of {total} is not a proportion")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / total
    weight = z * z / total
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return (0.0 if successes == 0 else middle - half, 1.0 if successes == total else middle + half)


def drop(from_percent: float, to_percent: float) -> Drop:
    """How far a percentage fell: 92 to 89 is 3 percentage points, and 3.26 % of what it was. A rise
    is negative."""
    points = from_percent - to_percent
    return Drop(points, 100 * points / from_percent if from_percent else math.nan)


def _sorted(samples: ArrayLike) -> NDArray[np.float64]:
    return np.sort(np.asarray(samples, dtype=np.float64))


def _interval(
    ordered: NDArray[np.float64], p: float, confidence: float
) -> tuple[float | None, float | None]:
    ranks = interval_ranks(len(ordered), p, confidence)
    return (
        (None, None)
        if ranks is None
        else (float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1]))
    )
