"""What is known of a candidate in numbers: each quantity with its interval. Owns how a quantity is
read from a bundle and a measurement; what is asked of it is goals.py's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.bundle.manifest import Artifact, Manifest
from edgekit.measure.measurement import Measurement
from edgekit.metrics import MetricValue, named_metric
from edgekit.verdict.budget import runtime_agreement_percent
from edgekit.verdict.metrics import metric_drop

METRICS = "metrics."


@dataclass(frozen=True)
class SearchFigure:
    """A quantity of a candidate in its unit, with the bounds of its 95 % interval: equal to it
    where it is exact, None where they are not known."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def exact(cls, value: float) -> SearchFigure:
        return cls(value, value, value)

    @classmethod
    def of(cls, stored: list[float | None]) -> SearchFigure:
        """As `as_list` gave it."""
        value, low, high = stored
        assert value is not None
        return cls(value, low, high)

    def as_list(self) -> list[float | None]:
        """As plain JSON."""
        return [self.value, self.low, self.high]


Figures = Mapping[str, SearchFigure]
"""By the name of the quantity."""


@dataclass(frozen=True)
class Judged:
    """Which artifact of a candidate's bundles is judged, and which one it is compared with."""

    variant: str
    baseline: str
    backend: str

    def artifact(self, manifest: Manifest) -> Artifact:
        return _of_variant(manifest, self.variant, self.backend)

    def base(self, manifest: Manifest) -> Artifact | None:
        """The baseline's artifact, where the bundle has it."""
        if not any(artifact.variant == self.baseline for artifact in manifest.artifacts):
            return None
        return _of_variant(manifest, self.baseline, self.backend)


def _of_variant(manifest: Manifest, variant: str, backend: str) -> Artifact:
    return next(
        artifact
        for artifact in manifest.artifacts
        if artifact.variant == variant and artifact.backend == backend
    )


def built_figures(manifest: Manifest, judged: Judged, stage: str) -> dict[str, SearchFigure]:
    """What a bundle tells without a board. `stage` is the one that exports the variant."""
    artifact, base = judged.artifact(manifest), judged.base(manifest)
    figures = {"size_bytes": SearchFigure.exact(artifact.file.bytes)}
    if row := next((row for row in manifest.trace if row.stage == stage), None):
        figures["macs"] = SearchFigure.exact(row.macs)
    if base is not None:
        figures["size_shrink_ratio"] = SearchFigure.exact(base.file.bytes / artifact.file.bytes)
    agreement = runtime_agreement_percent(manifest, judged.variant)
    if agreement is not None:
        figures["runtimes_agreement_percent"] = SearchFigure(agreement)
    return figures


def metric_figures(manifest: Manifest, judged: Judged) -> dict[str, SearchFigure]:
    """The task's metrics on the test set, and how much worse they are than the baseline's."""
    base = judged.base(manifest)
    figures = {}
    for metric in judged.artifact(manifest).verification.metrics:
        name = f"{METRICS}{metric.name}"
        figures[name] = SearchFigure(metric.value, metric.low, metric.high)
        reference = named_metric(base.verification.metrics, metric.name) if base else None
        if reference is not None:
            figures[f"{name}.drop"] = _drop(reference, metric)
    return figures


def _drop(reference: MetricValue, metric: MetricValue) -> SearchFigure:
    """Without the noise of a float's last digits: 92 % to 91 % is a drop of 1 point."""
    value = round(metric.drop(reference.value, metric.value), 9)
    shift = metric_drop(reference, metric, same_data=True)
    return SearchFigure(value) if shift is None else SearchFigure(value, shift.low, shift.high)


def measured_figures(
    measurement: Measurement, key: str, base_key: str | None, deadline_ms: float | None
) -> dict[str, SearchFigure]:
    """What a board tells of an artifact; nothing of latency where it must not be judged."""
    return {
        name: figure
        for name, figure in _measured(measurement, key, base_key, deadline_ms)
        if figure is not None
    }


def _measured(
    measurement: Measurement, key: str, base_key: str | None, deadline_ms: float | None
) -> Iterator[tuple[str, SearchFigure | None]]:
    peak_bytes = measurement.peak_memory_bytes(key)
    yield "peak_memory_bytes", None if peak_bytes is None else SearchFigure.exact(peak_bytes)
    if key not in measurement.summaries or not_judged(measurement, key):
        return
    yield "latency_p50_ms", _latency(measurement, key)
    if deadline_ms is not None and (result := measurement.result(key)):
        misses = result.deadline_misses(deadline_ms)
        if misses is not None:
            shares = (100 * each for each in (misses.share, misses.low, misses.high))
            yield "deadline_miss_percent", SearchFigure(*shares)
    ratio = measurement.latency_ratio(base_key, key) if base_key else None
    if ratio is not None:
        bounds = (ratio.low, ratio.high) if ratio.bounded else (None, None)
        yield "latency_speedup_ratio", SearchFigure(ratio.mid, *bounds)


def _latency(measurement: Measurement, key: str) -> SearchFigure:
    """The median of the runs. Of fewer runs than give an interval, the fastest and the slowest
    stand for it."""
    p50 = measurement.summaries[key].p50
    result = measurement.result(key)
    medians = result.run_medians_ns if result else [p50.value]
    low = min(medians) if p50.low is None else p50.low
    high = max(medians) if p50.high is None else p50.high
    return SearchFigure(p50.value / 1e6, low / 1e6, high / 1e6)


def not_judged(measurement: Measurement, key: str) -> str:
    """Why latencies of an artifact mean nothing; few runs are no reason, as their interval says
    how little they tell."""
    if measurement.timings == "meaningless":
        return f"timings are meaningless: {measurement.timings_reason}"
    invalid = (
        note.text
        for note in measurement.notes
        if note.level == "invalid" and note.artifact in (None, key)
    )
    return next((f"invalid: {text}" for text in invalid), "")


def as_plain(figures: Figures) -> dict[str, Any]:
    """As plain JSON, by name: value, low, high."""
    return {name: figure.as_list() for name, figure in figures.items()}


def from_plain(stored: Mapping[str, Any]) -> dict[str, SearchFigure]:
    return {name: SearchFigure.of(values) for name, values in stored.items()}
