"""A metric, and its value with a 95 % interval and, where kept, the value of each sample.

The samples' values are kept so that two builds can be compared sample by sample: they make the
interval of a difference much narrower than the two intervals alone would. Manifests hold metrics,
so numpy is imported only where values are computed: reading a bundle must not wait for it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Statistic = Literal["proportion", "mean"]


class MetricKind(BaseModel):
    """A metric of a task.

    A `proportion` is the share of the samples that are right, in percent; a `mean` is the mean of
    one number for each sample. `label` is the name in tables, `decimals` how many of a value are
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
    statistic: Statistic = "mean"
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

    `per_sample` is the value of each sample, in base64, empty where it was not kept: of a
    proportion one bit a sample, set where it is right, from the highest bit of the first byte on;
    of a mean little-endian float32."""

    value: Finite
    low: Finite | None = None
    high: Finite | None = None
    samples: Annotated[int, Field(ge=1)]
    per_sample: Annotated[str, Field(max_length=1 << 27)] = ""

    @property
    def right(self) -> int:
        """Of a proportion: how many samples are right."""
        return round(self.value * self.samples / 100)

    def sample_values(self) -> NDArray[np.float64] | None:
        """The value of each sample, 0 or 1 for a proportion; None where it was not kept.

        Raises ValueError for another number of samples, or for what is no base64."""
        if not self.per_sample:
            return None
        import numpy as np

        data = np.frombuffer(base64.b64decode(self.per_sample, validate=True), dtype=np.uint8)
        if self.statistic == "proportion":
            return np.unpackbits(data, count=self.samples).astype(np.float64)
        values = data.view("<f4").astype(np.float64)
        if len(values) != self.samples:
            raise ValueError(f"{self.name}: {len(values)} values for {self.samples} samples")
        return values

    def without_samples(self) -> MetricValue:
        """The same without the values of the samples."""
        return self.model_copy(update={"per_sample": ""})


def metric_value(
    kind: MetricKind, per_sample: NDArray[Any], *, keep_samples: bool = False
) -> MetricValue:
    """The value of a metric from the value of each sample: right or wrong for a proportion, a
    finite number for a mean.

    Raises ValueError: no samples, not one value for each sample, a value that is not finite."""
    import numpy as np

    from edgekit.stats import mean_interval

    values = np.asarray(per_sample)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"metric {kind.name}: expected one finite value for each sample")
    if kind.statistic == "proportion":
        right = values.astype(bool)
        material = np.packbits(right).tobytes() if keep_samples else b""
        return _proportion(kind, int(right.sum()), len(right), material)
    estimate = mean_interval(values)
    return MetricValue(
        **_described(kind),
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        samples=estimate.n,
        per_sample=_base64(values.astype("<f4").tobytes() if keep_samples else b""),
    )


def proportion_value(kind: MetricKind, right: int, samples: int) -> MetricValue:
    """The value of a proportion of which only the count is known. Raises ValueError for what is no
    proportion."""
    return _proportion(kind, right, samples, b"")


def _proportion(kind: MetricKind, right: int, samples: int, material: bytes) -> MetricValue:
    from edgekit.stats import wilson

    low, high = wilson(right, samples)
    return MetricValue(
        **_described(kind),
        value=100 * right / samples,
        low=100 * low,
        high=100 * high,
        samples=samples,
        per_sample=_base64(material),
    )


def _described(kind: MetricKind) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in MetricKind.model_fields}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def headline(metrics: Iterable[MetricValue]) -> MetricValue | None:
    """The first one, which is the one that short tables show; None without any."""
    return next(iter(metrics), None)


def named_metric(metrics: Iterable[MetricValue], name: str) -> MetricValue | None:
    """The metric of a name; None where it was not measured."""
    return next((metric for metric in metrics if metric.name == name), None)
