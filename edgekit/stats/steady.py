"""Has a series of latencies settled? One test, on the counted samples of one process run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SAMPLES = 32
MAX_BLOCKS = 512
ALPHA = 0.01
TOLERANCE = 0.05


@dataclass(frozen=True)
class Steadiness:
    """The likeliest change in a series: the sample it comes before, the medians on either side, and
    its p-value.

    `steady` is False when the change is both significant (p < 0.01) and large (over 5 %).
    """

    steady: bool
    change_at: int
    before: float
    after: float
    p: float


def steadiness(samples: ArrayLike) -> Steadiness | None:
    """Test a series, in order, for one change of level; None with fewer than 32 samples.

    Pettitt's rank test for a change point (Applied Statistics 28, 1979), which assumes no
    distribution, on medians of up to 512 equal blocks (which takes out spikes and most
    autocorrelation). As a significant change may still be too small to matter, it must also exceed
    5 %: a series is steady when its segments are equivalent, as in Barrett et al., "Virtual machine
    warmup blows hot and cold" (OOPSLA 2017). The place is where the statistic, divided by its
    standard deviation, is largest. A leftover of warm-up in less than a twentieth of the samples is
    not seen, and does not move the median."""
    values = np.asarray(samples, dtype=float)
    if len(values) < MIN_SAMPLES:
        return None
    size = -(-len(values) // MAX_BLOCKS)
    blocks = np.median(values[: len(values) // size * size].reshape(-1, size), axis=1)
    ranks = _ranks(blocks)
    n = len(blocks)
    splits = np.arange(1, n)
    statistic = np.abs(2 * np.cumsum(ranks)[:-1] - splits * (n + 1))
    at = int(splits[np.argmax(statistic / np.sqrt(splits * (n - splits)))])
    p = min(1.0, 2 * math.exp(-6 * float(statistic.max()) ** 2 / (n**3 + n**2)))
    before = float(np.median(values[: at * size]))
    after = float(np.median(values[at * size :]))
    moved = before > 0 and abs(after / before - 1) > TOLERANCE
    return Steadiness(not (p < ALPHA and moved), at * size, before, after, p)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean rank. (scipy.stats.rankdata does the same, after an
    import of a second.)"""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])
