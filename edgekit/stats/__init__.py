"""The statistics of measurements: pure functions over numbers. Knows no devices, artifacts or
files.

    quantiles   percentiles and medians with distribution-free intervals, spread, outliers,
                proportions
    steady      has a series settled?
    compare     ratio of two builds, tests, and the regression rule
    proportions how far apart two shares of right answers are
    clusters    a share of what comes in groups, such as inferences in runs
    means       means over samples, and how far apart two are
    bootstrap   other values of samples, and how far apart two are
    errors      how often the rule errs
    fidelity    how far one set of outputs is from another

The unit of replication is a process run, not an iteration: iterations within a process share its
memory layout, caches and clock speed, so they are not independent (Kalibera & Jones, "Rigorous
benchmarking in reasonable time", ISMM 2013). Whatever compares builds therefore takes medians of
runs."""

from __future__ import annotations

from edgekit.stats.bootstrap import bootstrap, paired_bootstrap
from edgekit.stats.clusters import ClusteredShare, clustered_share, share_shift
from edgekit.stats.compare import (
    Decision,
    Difference,
    MedianRatio,
    decide,
    differ,
    holm,
    mann_whitney_p,
    ratio_of_medians,
)
from edgekit.stats.fidelity import Fidelity, cosine, decibels, fidelity, snr_db
from edgekit.stats.means import independent_mean_shift, mean_interval, paired_mean_shift
from edgekit.stats.proportions import Shift, independent_shift, paired_shift
from edgekit.stats.quantiles import (
    Drop,
    Outliers,
    QuantileEstimate,
    drop,
    mad,
    median,
    outliers,
    percentile,
    percentile_floor,
    unstable,
    wilson,
)
from edgekit.stats.steady import Steadiness, steadiness

__all__ = [
    "ClusteredShare",
    "Decision",
    "Difference",
    "Drop",
    "Fidelity",
    "MedianRatio",
    "Outliers",
    "QuantileEstimate",
    "Shift",
    "Steadiness",
    "bootstrap",
    "clustered_share",
    "cosine",
    "decibels",
    "decide",
    "differ",
    "drop",
    "fidelity",
    "holm",
    "independent_mean_shift",
    "independent_shift",
    "mad",
    "mann_whitney_p",
    "mean_interval",
    "median",
    "outliers",
    "paired_bootstrap",
    "paired_mean_shift",
    "paired_shift",
    "percentile",
    "percentile_floor",
    "ratio_of_medians",
    "share_shift",
    "snr_db",
    "steadiness",
    "unstable",
    "wilson",
]
