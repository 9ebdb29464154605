"""What a metric is over all samples: a mean, a share, or something that is no mean over samples.

Owns the table of statistics and looking one up. Each makes of the samples' *material*, numbers of
shape (samples, columns), a value with its interval, and the shift between two builds on the same
samples. A module of the table is imported on use, because reading a bundle must not wait for
numpy. An addition is one function in such a module and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AfterValidator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.stats import QuantileEstimate, Shift

Material: TypeAlias = "NDArray[np.float64]"
"""Numbers of shape (samples, columns); what the columns are, each statistic says."""
Weights: TypeAlias = "NDArray[np.float64]"
"""How often each sample counts, of shape (resamples, samples)."""
ByWeights: TypeAlias = "Callable[[Material, Weights], NDArray[np.float64]]"
"""Material and weights to one value for each resample; NaN where it has none."""

STATISTICS = {
    "proportion": "exact:PROPORTION",
    "mean": "exact:MEAN",
    "root_mean": "ratios:ROOT_MEAN",
    "r_squared": "ratios:R_SQUARED",
    "mean_ratio": "ratios:MEAN_RATIO",
    "class_mean": "ratios:CLASS_MEAN",
    "class_min": "ratios:CLASS_MIN",
    "average_precision": "ranking:AVERAGE_PRECISION",
    "roc_auc": "ranking:ROC_AUC",
    "detection_ap": "detection:AVERAGE_PRECISION",
    "detection_ap50": "detection:AVERAGE_PRECISION_50",
}
"""The place of each within this package, by its name."""


def _check_name(name: str) -> str:
    if name not in STATISTICS:
        raise ValueError(f"there is no statistic {name!r}: known are {', '.join(STATISTICS)}")
    return name


StatisticName = Annotated[str, AfterValidator(_check_name)]


@dataclass(frozen=True)
class Statistic:
    """How material becomes a value.

    `value` is that by how often each sample counts. `estimate` gives the value with its 95 %
    interval; it is NaN where the samples have none. Both bounds are None where they are too few for
    an interval. `paired` is the first value less the second, of the same samples; `unrelated` the
    same of different samples, from their intervals alone. `truth_values`: the material is one truth
    value for each sample, and is stored as such.
    """

    value: ByWeights
    estimate: Callable[[Material], QuantileEstimate]
    paired: Callable[[Material, Material], Shift | None]
    unrelated: Callable[[QuantileEstimate, QuantileEstimate], Shift | None]
    truth_values: bool = False


def statistic_of(name: str) -> Statistic:
    """The statistic of a name in `STATISTICS`."""
    module_name, _, attribute = STATISTICS[name].partition(":")
    statistic = getattr(importlib.import_module(f"edgekit.metrics.{module_name}"), attribute)
    assert isinstance(statistic, Statistic)
    return statistic
