"""What of two measurements is compared about the task's metrics: on the device where both were
measured there, else as the build host found them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edgekit.measure.runs import ArtifactResult
from edgekit.metrics import MetricKind, MetricValue, named_metric
from edgekit.metrics.series import over_series
from edgekit.metrics.statistics import statistic_of
from edgekit.stats import QuantileEstimate, Shift
from edgekit.verdict.quantities import Observed, Quantity

UNKNOWN = Quantity("metrics", "metrics", "", scale="difference")
"""Stands for the metrics of artifacts that have none."""
NOT_KNOWN = "not known: no labels on the build host, and not measured on the device"


def quantity_of(kind: MetricKind) -> Quantity:
    """A metric as something that is compared."""
    return Quantity(
        kind.name,
        kind.label,
        kind.unit,
        higher_is_better=kind.higher_is_better,
        scale="difference",
        decimals=kind.decimals,
        margin=kind.gate_margin,
    )


def observed_metrics(
    pair: str, a: ArtifactResult, b: ArtifactResult, why_not: str, expected: Collection[str] = ()
) -> Iterator[Observed]:
    """Each metric that an artifact has, in the task's order, and of `expected` those that none
    has."""
    names = list(dict.fromkeys(metric.name for result in (b, a) for metric in known(result)))
    for name in names:
        yield _observed(pair, name, a, b, why_not)
    for name in expected:
        if name not in names:
            unmeasured = Quantity(name, name, "", scale="difference")
            yield Observed(pair, unmeasured, None, None, why_not=NOT_KNOWN)
    if not names and not expected:
        yield Observed(pair, UNKNOWN, None, None, why_not=NOT_KNOWN)


def known(result: ArtifactResult) -> tuple[MetricValue, ...]:
    """The metrics of an artifact: on the device where they were measured there, else on the build
    host."""
    on_device = result.evaluation.metrics if result.evaluation else ()
    return on_device or result.artifact.verification.metrics


def _observed(pair: str, name: str, a: ArtifactResult, b: ArtifactResult, why_not: str) -> Observed:
    on_device = [_on_device(result, name) for result in (a, b)]
    if on_device[0] and on_device[1]:
        first = on_device[0]
        second = on_device[1]
        same_data = _same_data(a, b)
        note = "on the device, on the same samples" if same_data else "on the device"
    else:
        on_host = [named_metric(result.artifact.verification.metrics, name) for result in (a, b)]
        if on_host[0] is None or on_host[1] is None:
            kind = next(filter(None, (*on_device, *on_host)))
            reason = f"{kind.label} is known of one of the two only"
            return Observed(pair, quantity_of(kind), None, None, why_not=reason)
        first = on_host[0]
        second = on_host[1]
        same_data = _same_test_set(a, b) and bool(first.per_sample and second.per_sample)
        note = "on the build host, on the same samples" if same_data else "on the build host"
    shift = metric_drop(first, second, same_data=same_data)
    if a.artifact.file.sha256 == b.artifact.file.sha256 and first.value == second.value:
        shift = Shift(0.0, 0.0, 0.0)
        note = f"{note}, the same file"
    return Observed(
        pair,
        quantity_of(second),
        first.value,
        second.value,
        shift=shift,
        why_not=why_not or ("" if shift else "too few samples for an interval"),
        note=note,
    )


def _on_device(result: ArtifactResult, name: str) -> MetricValue | None:
    return named_metric(result.evaluation.metrics, name) if result.evaluation else None


def _same_data(a: ArtifactResult, b: ArtifactResult) -> bool:
    if a.evaluation is None or b.evaluation is None:
        return False
    return a.evaluation.data_sha256 == b.evaluation.data_sha256 != ""


def _same_test_set(a: ArtifactResult, b: ArtifactResult) -> bool:
    return a.artifact.verification.data_sha256 == b.artifact.verification.data_sha256 != ""


def metric_drop(first: MetricValue, second: MetricValue, *, same_data: bool) -> Shift | None:
    """How much worse the second is, in the metric's unit, with its 95 % interval; None where the
    samples are too few for one.

    On the same samples (`same_data`) they are compared sample by sample, if both kept them."""
    # What is worse is the fall of a metric whose higher values are better, and the rise of others.
    high, low = (first, second) if first.higher_is_better else (second, first)
    statistic = over_series(statistic_of(high.statistic), max(high.steps, low.steps))
    same_kind = _shape(high) == _shape(low)
    material, other = (high.material(), low.material()) if same_data and same_kind else (None, None)
    if material is not None and other is not None:
        return statistic.paired(material, other)
    return statistic.unrelated(_estimate(high), _estimate(low))


def _shape(metric: MetricValue) -> tuple[str, int, int]:
    return metric.statistic, metric.samples, metric.steps


def _estimate(metric: MetricValue) -> QuantileEstimate:
    return QuantileEstimate(metric.value, metric.low, metric.high, metric.samples)
