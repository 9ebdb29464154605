"""How often the rule errs on runs of one and the same build: false alarms, and slow-downs that it
misses. Pure; measuring is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.stats.compare import FULL_RUNS, decide, differ
from edgekit.stats.quantiles import wilson

POWER_RUNS = 20
SLOWDOWN_RATIO = 1.2


@dataclass(frozen=True)
class ErrorRates:
    """Over `resamples` draws from `rounds` rounds: how often identical builds were told apart in
    either direction (with its Wilson interval), how often one was called a regression, and how
    often a candidate `slowdown_ratio` times slower was called one with `power_runs` runs a side.
    """

    rounds: int
    resamples: int
    false_positive_rate: float
    false_positive_low: float
    false_positive_high: float
    false_regression_rate: float
    slowdown_ratio: float
    power_runs: int
    power: float


def error_rates(
    first: Sequence[float],
    second: Sequence[float],
    *,
    resamples: int = 1000,
    margin_ratio: float = 1.05,
    slowdown_ratio: float = SLOWDOWN_RATIO,
    seed: int = 0,
) -> ErrorRates:
    """The rule on medians of runs of one build that was measured against itself in rounds, `first`
    and `second` in each.

    For each draw, rounds are chosen at random (10, and 20 for the power; with replacement only
    where there are fewer) and the two sides of each are exchanged by chance, as in a permutation
    test of matched pairs: that keeps what a round shares, such as the device's heat. Raises
    ValueError with fewer than 10 rounds, or sides of different lengths."""
    pairs = np.asarray([first, second], dtype=float).T
    if len(pairs) < FULL_RUNS:
        raise ValueError(f"{FULL_RUNS} rounds are needed, there are {len(pairs)}")
    generator = np.random.default_rng(seed)
    apart = regressed = detected = 0
    for at in range(resamples):
        a, b = _drawn(pairs, FULL_RUNS, generator)
        apart += differ({0: (a, b)}, margin_ratio=margin_ratio, seed=at)[0].side in (
            "higher",
            "lower",
        )
        regressed += (
            decide({0: (a, b)}, threshold_ratio=margin_ratio, seed=at)[0].verdict == "regressed"
        )
        a, b = _drawn(pairs, POWER_RUNS, generator)
        detected += (
            decide({0: (a, slowdown_ratio * b)}, threshold_ratio=margin_ratio, seed=at)[0].verdict
            == "regressed"
        )
    low, high = wilson(apart, resamples)
    rates = (apart / resamples, low, high, regressed / resamples)
    return ErrorRates(
        len(pairs), resamples, *rates, slowdown_ratio, POWER_RUNS, detected / resamples
    )


def _drawn(
    pairs: NDArray[np.float64], runs: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = pairs[generator.choice(len(pairs), runs, replace=len(pairs) < runs)]
    turned = generator.integers(0, 2, runs).astype(bool)
    rows = np.where(turned[:, None], rows[:, ::-1], rows)
    return rows[:, 0], rows[:, 1]
