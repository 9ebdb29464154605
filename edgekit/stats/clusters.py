"""A proportion of observations that come in groups, such as inferences in process runs: what is
observed within a group is alike, so that many observations of few runs say less than as many of
their own. Other proportions are in proportions.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from edgekit.stats.means import student_quantile
from edgekit.stats.proportions import Shift
from edgekit.stats.quantiles import CONFIDENCE, wilson


@dataclass(frozen=True)
class ClusteredShare:
    """A share with its interval, as fractions: `count` of `total` observations in `groups`
    groups."""

    count: int
    total: int
    groups: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.total


def clustered_share(
    counts: Sequence[int], totals: Sequence[int], *, confidence: float = CONFIDENCE
) -> ClusteredShare:
    """`counts` of `totals` in each group. Wilson's interval of as many independent observations as
    the groups are worth: the total over the design effect, corrected for few groups by Student's
    quantile (Korn & Graubard, "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data", Survey Methodology 24, 1998; Dean & Pagano,
    Journal of Survey Statistics and Methodology 3, 2015, on Wilson's).

    Where all or none count, groups cannot be told apart, and the design effect is taken as 1.

    Raises ValueError for what are no proportions."""
    count, total, groups = sum(counts), sum(totals), len(totals)
    if len(counts) != groups or total == 0 or min(totals) < 0:
        raise ValueError(f"{count} of {total} in {groups} groups is no proportion")
    share = count / total
    worth = total / _design_effect(counts, totals, share)
    if groups > 1:
        upper = (1 + confidence) / 2
        worth *= (NormalDist().inv_cdf(upper) / student_quantile(upper, groups - 1)) ** 2
    low, high = wilson(share * worth, worth, confidence=confidence)
    return ClusteredShare(count, total, groups, low, high)


def _design_effect(counts: Sequence[int], totals: Sequence[int], share: float) -> float:
    """How many times larger the variance of the share is than that of independent observations, at
    least 1."""
    groups = len(totals)
    independent = share * (1 - share) / sum(totals)
    if groups < 2 or independent == 0:
        return 1.0
    beyond = np.asarray(counts, dtype=np.float64) - share * np.asarray(totals, dtype=np.float64)
    variance = groups / (groups - 1) * float((beyond**2).sum()) / sum(totals) ** 2
    return max(1.0, variance / independent)


def share_shift(first: ClusteredShare, second: ClusteredShare) -> Shift:
    """The first share less the second in percentage points, of runs that have nothing to do with
    each other. The distances of the bounds are added as squares, as in `independent_shift`."""
    middle = first.share - second.share
    below = math.hypot(first.share - first.low, second.high - second.share)
    above = math.hypot(first.high - first.share, second.share - second.low)
    return Shift(100 * (middle - below), 100 * middle, 100 * (middle + above))
