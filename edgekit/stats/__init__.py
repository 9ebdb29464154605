"""The statistics of measurements: pure functions over numbers. Knows no devices, artifacts or files.

    quantiles   percentiles and medians with distribution-free intervals, spread, outliers, proportions
    steady      has a series settled?
    compare     ratio of two builds, tests, and the regression rule
    fidelity    how far one set of outputs is from another

The unit of replication is a process run, not an iteration: iterations within a process share its memory layout, caches and clock speed, so
they are not independent (Kalibera & Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). Whatever compares builds therefore takes
medians of runs.
"""

from __future__ import annotations

from edgekit.stats.compare import Decision, Ratio, decide, holm, mann_whitney_p, ratio_of_medians
from edgekit.stats.fidelity import Fidelity, cosine, fidelity, snr_db
from edgekit.stats.quantiles import (
    Drop,
    Estimate,
    Outliers,
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
    "Decision",
    "Drop",
    "Estimate",
    "Fidelity",
    "Outliers",
    "Ratio",
    "Steadiness",
    "cosine",
    "decide",
    "drop",
    "fidelity",
    "holm",
    "mad",
    "mann_whitney_p",
    "median",
    "outliers",
    "percentile",
    "percentile_floor",
    "ratio_of_medians",
    "snr_db",
    "steadiness",
    "unstable",
    "wilson",
]
