"""A metric, and its value with a 95 % interval and, where kept, the material of each sample.

The samples' material is kept so that two builds can be compared sample by sample: that makes the
interval of a difference much narrower than the two intervals alone would. Manifests hold metrics,
so numpy is imported only where values are computed: reading a bundle must not wait for it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edgekit.metrics.statistics import StatisticName, statistic_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
MOST_MATERIAL_BYTES = 1 << 26
"""Of more, the samples' material is not kept: builds are then compared by their intervals alone."""


class UndefinedError(ValueError):
    """The samples have no such value: a recall without any positive sample, for example."""


class MetricKind(BaseModel):
    """A metric of a task.

    `statistic` is how the samples become a value: a `proportion` is the share of those that are
    right, in percent, a `mean` the mean of one number for each; the others are in
    edgekit.metrics.statistics. `label` is the name in tables, `decimals` how many of a value are
    shown. `gate_margin`, in `unit`, is how much worse counts as no difference, and how much worse
    a build may be unless its recipe says otherwise.

    >>> MetricKind(name="mae", label="MAE", unit="px", higher_is_better=False, gate_margin=0.5)
    MetricKind(name='mae', label='MAE', unit='px', higher_is_better=False, ...)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    label: Annotated[str, Field(min_length=1, max_length=40)]
    unit: Annotated[str, Field(max_length=20)] = ""
    higher_is_better: bool
    statistic: StatisticName = "mean"
    decimals: Annotated[int, Field(ge=0, le=9)] = 2
    gate_margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @property
    def difference_unit(self) -> str:
        """The unit of a difference of two values: percentages differ by points."""
        return "points" if self.unit == "%" else self.unit

    def drop(self, before: float, after: float) -> float:
        """How much worse `after` is than `before`, in the metric's unit; negative: better."""
        return before - after if self.higher_is_better else after - before


class MetricValue(MetricKind):
    """A metric over `samples` samples with the bounds of its 95 % interval, None where too few
    samples give none.

    `per_sample` is the material of each sample, in base64, empty where it was not kept: of a
    proportion one bit a sample, set where it is right, from the highest bit of the first byte on;
    of others so many `columns` of little-endian float32, sample after sample. Where `steps` is more
    than 1, so many samples one after the other are the steps of a series, and the interval is one
    over series."""

    value: Finite
    low: Finite | None = None
    high: Finite | None = None
    samples: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1, le=1 << 24)] = 1
    columns: Annotated[int, Field(ge=1, le=1 << 20)] = 1
    per_sample: Annotated[str, Field(max_length=1 << 27)] = ""

    @property
    def right(self) -> int:
        """Of a proportion: how many samples are right."""
        return round(self.value * self.samples / 100)

    def material(self) -> NDArray[np.float64] | None:
        """The material of each sample, of shape (samples, columns); None where it was not kept.

        Raises ValueError for another number of samples, or for what is no base64."""
        if not self.per_sample:
            return None
        import numpy as np

        data = np.frombuffer(base64.b64decode(self.per_sample, validate=True), dtype=np.uint8)
        if statistic_of(self.statistic).truth_values:
            return np.unpackbits(data, count=self.samples).astype(np.float64)[:, None]
        values = data.view("<f4").astype(np.float64)
        if len(values) != self.samples * self.columns:
            raise ValueError(
                f"{self.name}: {len(values)} values for {self.samples} samples of {self.columns}"
            )
        return values.reshape(self.samples, self.columns)

    def without_samples(self) -> MetricValue:
        """The same without the material of the samples."""
        return self.model_copy(update={"per_sample": ""})


def metric_value(
    kind: MetricKind, per_sample: NDArray[Any], *, steps: int = 1, keep_samples: bool = False
) -> MetricValue:
    """The value of a metric from the material of each sample, of shape (samples,) or (samples,
    columns): right or wrong for a proportion, else finite numbers. Samples may be the `steps` of
    series, one series after the other.

    Raises ValueError: no samples, other columns than these, a number that is not finite, no whole
    series;
    UndefinedError: the samples have no such value."""
    import numpy as np

    from edgekit.metrics.series import over_series

    values = np.asarray(per_sample)
    material = values[:, None] if values.ndim == 1 else values
    if material.ndim != 2 or material.size == 0 or not np.isfinite(material).all():
        raise ValueError(f"metric {kind.name}: expected finite values for each sample")
    statistic = statistic_of(kind.statistic)
    # As it will be read back: a value must not change with what was stored.
    rounded = material.astype(np.float32)
    estimate = over_series(statistic, steps).estimate(rounded.astype(np.float64))
    if not np.isfinite(estimate.value):
        raise UndefinedError(f"metric {kind.name}: these samples have no such value")
    data = rounded.astype("<f4").tobytes()
    if statistic.truth_values:
        data = np.packbits(material.astype(bool)).tobytes()
    is_kept = keep_samples and len(data) <= MOST_MATERIAL_BYTES
    return MetricValue(
        **_described(kind),
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        samples=estimate.n,
        steps=steps,
        columns=material.shape[1],
        per_sample=base64.b64encode(data).decode("ascii") if is_kept else "",
    )


def proportion_value(kind: MetricKind, right: int, samples: int) -> MetricValue:
    """The value of a proportion of which only the count is known. Raises ValueError for what is no
    proportion."""
    from edgekit.stats import wilson

    low, high = wilson(right, samples)
    return MetricValue(
        **_described(kind),
        value=100 * right / samples,
        low=100 * low,
        high=100 * high,
        samples=samples,
    )


def _described(kind: MetricKind) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in MetricKind.model_fields}


def headline(metrics: Iterable[MetricValue]) -> MetricValue | None:
    """The first one, which is the one that short tables show; None without any."""
    return next(iter(metrics), None)


def named_metric(metrics: Iterable[MetricValue], name: str) -> MetricValue | None:
    """The metric of a name; None where it was not measured."""
    return next((metric for metric in metrics if metric.name == name), None)
