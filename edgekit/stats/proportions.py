"""How far apart two proportions are, such as the accuracies of two builds: with intervals, on the
same samples or on different ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from edgekit.stats.quantiles import CONFIDENCE, wilson


@dataclass(frozen=True)
class Shift:
    """The first value less the second with its interval: of two proportions in percentage points,
    of two means in their unit."""

    low: float
    mid: float
    high: float


def independent_shift(
    first: int, first_total: int, second: int, second_total: int, *, confidence: float = CONFIDENCE
) -> Shift:
    """Of samples that have nothing to do with each other: the square-and-add interval of two Wilson
    intervals (Newcombe, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17, 1998, method 10).

    Raises ValueError for what are no proportions.
    """
    low1, high1 = wilson(first, first_total, confidence=confidence)
    low2, high2 = wilson(second, second_total, confidence=confidence)
    share1 = first / first_total
    share2 = second / second_total
    below = math.hypot(share1 - low1, high2 - share2)
    above = math.hypot(high1 - share1, share2 - low2)
    return Shift(
        100 * (share1 - share2 - below), 100 * (share1 - share2), 100 * (share1 - share2 + above)
    )


def paired_shift(
    only_first: int, only_second: int, total: int, *, confidence: float = CONFIDENCE
) -> Shift:
    """Of the same samples: `only_first` are right in the first alone, `only_second` in the second
    alone, of `total`.

    The adjusted Wald interval of Bonett & Price, "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data", Journal of Educational and Behavioral
    Statistics 37, 2012. Raises ValueError for counts that do not fit."""
    if min(only_first, only_second) < 0 or only_first + only_second > total or total == 0:
        raise ValueError(f"{only_first} and {only_second} of {total} are no proportions")
    share1 = (only_first + 1) / (total + 2)
    share2 = (only_second + 1) / (total + 2)
    middle = share1 - share2
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(
        (share1 + share2 - middle**2) / (total + 2)
    )
    mid = (only_first - only_second) / total
    return Shift(100 * max(-1.0, middle - half), 100 * mid, 100 * min(1.0, middle + half))
