"""Two builds against each other: the ratio of their medians, the rule that says regressed, not
regressed, or not known yet, and the two-sided one.

Values are medians of process runs, in one unit, of runs that were interleaved in one session on one
device; lower is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgekit.stats.quantiles import CONFIDENCE

FULL_RUNS = 10
"""Process runs below which a measurement is quick and decides nothing."""
INTERVAL_RUNS = 6
"""Runs below which no distribution-free 95 % interval of a median exists: 1 − 2·0.5^n < 0.95."""
EXACT_RUNS = 8
"""Up to so many runs of one of two builds the Mann–Whitney test is exact."""
RESAMPLES = 4_999
MOST_RUNS = 1_000
"""More runs than this are not worth asking for: the builds are then as good as at the threshold."""

Name = TypeVar("Name")
Verdict = Literal["regressed", "no_regression", "inconclusive"]
Side = Literal["higher", "lower", "same", "inconclusive"]


@dataclass(frozen=True)
class MedianRatio:
    """A ratio of medians with its interval. With too few runs for an interval, `low` is 0 and
    `high` infinite: nothing is excluded."""

    low: float
    mid: float
    high: float

    @property
    def bounded(self) -> bool:
        return math.isfinite(self.high)


@dataclass(frozen=True)
class Decision:
    """What the regression rule says about one comparison.

    `ratio` is candidate over baseline, `p` the Holm-adjusted Mann–Whitney p-value, `more_runs` how
    many further runs of each build would probably decide an inconclusive case (None: decided
    already, or not to be had within 1,000), `reason` one clause for the reader."""

    verdict: Verdict
    ratio: MedianRatio
    p: float
    more_runs: int | None
    reason: str


@dataclass(frozen=True)
class Difference:
    """How a second build differs from a first: its values are `higher`, `lower`, the `same` within
    a margin, or that is not known yet.

    Otherwise as Decision; `ratio` is second over first.
    """

    side: Side
    ratio: MedianRatio
    p: float
    more_runs: int | None
    reason: str


def ratio_of_medians(
    numerator: ArrayLike, denominator: ArrayLike, *, confidence: float = CONFIDENCE, seed: int = 0
) -> MedianRatio:
    """The ratio of two medians with a percentile bootstrap interval (Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, ch. 13).

    Runs of both builds are resampled independently, 4,999 times, from a seeded generator: the same
    runs give the same interval. Raises ValueError without values."""
    above = np.asarray(numerator, dtype=float)
    below = np.asarray(denominator, dtype=float)
    if min(len(above), len(below)) == 0:
        raise ValueError("a ratio needs at least one run of each build")
    mid = float(np.median(above) / np.median(below))
    if min(len(above), len(below)) < INTERVAL_RUNS:
        return MedianRatio(0.0, mid, math.inf)
    generator = np.random.default_rng(seed)
    ratios = _resampled_medians(above, generator) / _resampled_medians(below, generator)
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return MedianRatio(float(low), mid, float(high))


def _resampled_medians(
    values: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Medians of resamples with replacement. Sorting drawn ranks instead of values is five times
    faster than np.median."""
    n = len(values)
    ranks = np.sort(generator.integers(0, n, (RESAMPLES, n), dtype=np.uint16), axis=1)
    ordered = np.sort(values)
    return (ordered[ranks[:, (n - 1) // 2]] + ordered[ranks[:, n // 2]]) / 2


def mann_whitney_p(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p-value of the Mann–Whitney U test, as scipy.stats.mannwhitneyu gives it: exact up
    to 8 runs without ties, else normal with corrections for ties and continuity (Mann & Whitney
    1947; Hollander, Wolfe & Chicken, 3rd ed., §4.1).

    Not scipy's own: for this it would add 110 MB to an installation that otherwise takes as much in
    all."""
    a = np.asarray(first, dtype=float)
    b = np.asarray(second, dtype=float)
    wins = float((a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum())
    u = max(wins, a.size * b.size - wins)
    n = a.size + b.size
    _, ties = np.unique(np.concatenate([a, b]), return_counts=True)
    if min(a.size, b.size) <= EXACT_RUNS and ties.max() == 1:
        ways = _ways(a.size, b.size)
        return min(1.0, 2 * sum(ways[int(u) :]) / sum(ways))
    variance = (
        a.size
        * b.size
        / 12
        * (n + 1 - float((ties.astype(float) ** 3 - ties).sum()) / (n * (n - 1)))
    )
    if variance == 0:
        return 1.0
    return min(1.0, math.erfc((u - a.size * b.size / 2 - 0.5) / math.sqrt(2 * variance)))


def _ways(m: int, n: int) -> list[int]:
    """In how many orders of m and n runs U is 0, 1, …, m·n: the coefficients of the Gaussian
    binomial."""
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):
            ways[u] -= ways[u - n - i]
        for u in range(i, m * n + 1):
            ways[u] += ways[u - i]
    return ways


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Step-down adjusted p-values, in the order given (Holm, Scandinavian Journal of Statistics 6,
    1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def decide(
    pairs: Mapping[Name, tuple[ArrayLike, ArrayLike]],
    *,
    threshold_ratio: float | Mapping[Name, float] = 1.05,
    alpha: float = 0.05,
    seed: int = 0,
) -> dict[Name, Decision]:
    """Judge each (baseline runs, candidate runs) by name; the tests are corrected over all of them.

    Regressed: adjusted p < alpha, and the interval of candidate/baseline lies above 1, and the
    ratio exceeds `threshold_ratio` (one for all, or by name). No regression: the interval lies
    below `threshold_ratio`. Everything else, and anything with fewer than 10 runs a side, is
    inconclusive."""
    return {
        name: _judge(
            ratio,
            p,
            runs,
            threshold_ratio[name] if isinstance(threshold_ratio, Mapping) else threshold_ratio,
            alpha,
        )
        for name, (ratio, p, runs) in _compared(pairs, seed).items()
    }


def differ(
    pairs: Mapping[Name, tuple[ArrayLike, ArrayLike]],
    *,
    margin_ratio: float | Mapping[Name, float] = 1.05,
    alpha: float = 0.05,
    seed: int = 0,
) -> dict[Name, Difference]:
    """The regression rule in both directions, for each (first runs, second runs) by name; the tests
    are corrected over all of them.

    Higher: adjusted p < alpha, and the interval of second/first lies above 1, and the ratio exceeds
    `margin_ratio` (one for all, or by name); lower: the same of first/second. Same: the interval
    lies between 1/`margin_ratio` and `margin_ratio`. Everything else, and fewer than 10 runs a
    side, is inconclusive."""
    return {
        name: _tell_apart(
            ratio,
            p,
            runs,
            margin_ratio[name] if isinstance(margin_ratio, Mapping) else margin_ratio,
            alpha,
        )
        for name, (ratio, p, runs) in _compared(pairs, seed).items()
    }


def _compared(
    pairs: Mapping[Name, tuple[ArrayLike, ArrayLike]], seed: int
) -> dict[Name, tuple[MedianRatio, float, int]]:
    """Of each pair: second over first, the corrected p, and the runs of the smaller side."""
    adjusted = holm([mann_whitney_p(first, second) for first, second in pairs.values()])
    return {
        name: (ratio_of_medians(second, first, seed=seed), p, min(np.size(first), np.size(second)))
        for (name, (first, second)), p in zip(pairs.items(), adjusted, strict=True)
    }


def _judge(ratio: MedianRatio, p: float, runs: int, threshold: float, alpha: float) -> Decision:
    interval = f"{ratio.mid:.3f}, 95 % interval {ratio.low:.3f} to {ratio.high:.3f}"
    if runs < FULL_RUNS:
        return Decision(
            "inconclusive", ratio, p, FULL_RUNS - runs, f"only {runs} runs, {FULL_RUNS} are needed"
        )
    if p < alpha and ratio.low > 1 and ratio.mid > threshold:
        return Decision("regressed", ratio, p, None, f"slower by {interval}, p = {p:.2g}")
    if ratio.high < threshold:
        return Decision(
            "no_regression", ratio, p, None, f"ratio {interval}, all below {threshold:g}"
        )
    return Decision(
        "inconclusive",
        ratio,
        p,
        more_runs(ratio, runs, threshold),
        f"ratio {interval}, threshold {threshold:g}",
    )


def _tell_apart(ratio: MedianRatio, p: float, runs: int, margin: float, alpha: float) -> Difference:
    interval = f"ratio {ratio.mid:.3f}, 95 % interval {ratio.low:.3f} to {ratio.high:.3f}"
    if runs < FULL_RUNS:
        return Difference(
            "inconclusive", ratio, p, FULL_RUNS - runs, f"only {runs} runs, {FULL_RUNS} are needed"
        )
    if p < alpha and ratio.low > 1 and ratio.mid > margin:
        return Difference("higher", ratio, p, None, f"{interval}, p = {p:.2g}")
    if p < alpha and ratio.high < 1 and ratio.mid < 1 / margin:
        return Difference("lower", ratio, p, None, f"{interval}, p = {p:.2g}")
    if ratio.low > 1 / margin and ratio.high < margin:
        return Difference(
            "same", ratio, p, None, f"{interval}, all within {100 * (margin - 1):g} %"
        )
    # Bounds of an interval that is not bounded need no inverse: with that few runs it is
    # inconclusive above.
    turned = MedianRatio(1 / ratio.high, 1 / ratio.mid, 1 / ratio.low)
    above = more_runs(ratio, runs, margin)
    below = more_runs(turned, runs, margin)
    if ratio.mid > margin:
        needed = above
    elif turned.mid > margin:
        needed = below
    elif above is None or below is None:
        needed = None
    else:
        needed = max(above, below)
    return Difference("inconclusive", ratio, p, needed, interval)


def more_runs(ratio: MedianRatio, runs: int, threshold: float) -> int | None:
    """Further runs of each build after which an interval of this centre would probably exclude 1 or
    the threshold; None if more than 1,000.

    The interval's half-width, on a log scale, is taken to shrink with the square root of the number
    of runs."""
    if not ratio.bounded:
        return max(1, FULL_RUNS - runs)
    centre = math.log(ratio.mid)
    if ratio.mid > threshold:
        distance = centre
        half_width = centre - math.log(ratio.low)
    else:
        distance = math.log(threshold) - centre
        half_width = math.log(ratio.high) - centre
    if distance <= 0:
        return None
    needed = math.ceil(runs * max(1.0, half_width / distance) ** 2) - runs
    return max(1, needed) if needed <= MOST_RUNS else None
