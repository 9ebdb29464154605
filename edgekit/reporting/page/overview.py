"""What a reader wants first: every artifact in one line, and the headline metric against
latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.bundle.manifest import Artifact
from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult
from edgekit.metrics import MetricKind, MetricValue, headline
from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_of, first_headline
from edgekit.reporting.page.build import metric_cell, metric_heading
from edgekit.reporting.page.latency import marked_cell
from edgekit.reporting.page.style import flag, mark, styles
from edgekit.reporting.page.values import (
    SOFT,
    Absent,
    Block,
    Cell,
    Figure,
    Table,
    axis,
    cells,
    label,
    layout,
    log_axis,
    with_interval,
)
from edgekit.reporting.tables import DASH
from edgekit.sanitize import printable

BUBBLE_PX = 46.0
SMALLEST_BUBBLE_PX = 9.0


def glance_table(
    artifacts: Sequence[Artifact],
    baseline: str,
    measurements: Sequence[Measurement],
    met: Mapping[str, bool],
) -> Table:
    """An artifact a line, and where there are several targets a line for each: size, headline
    metric, the median and how much faster it is than the baseline. However many targets there are,
    it is no wider."""
    several = len(measurements) > 1
    metric = first_headline(artifact.verification for artifact in artifacts)
    columns = ["artifact", *(["target"] if several else [])]
    columns += ["size", "smaller", metric_heading(metric)]
    if measurements:
        columns += ["p50 ms", "faster", "peak memory"]
    if met:
        columns.append("budget")
    rows = tuple(
        _glance_row(artifact, artifacts, baseline, measurement, met, several=several)
        for artifact in artifacts
        for measurement in (measurements or (None,))
    )
    flags = dict.fromkeys(f"{m.target}: {flag(m)}" for m in measurements if flag(m))
    return Table(tuple(columns), rows, caption="; ".join(flags), names=1 + several)


def _glance_row(
    artifact: Artifact,
    artifacts: Sequence[Artifact],
    baseline: str,
    measurement: Measurement | None,
    met: Mapping[str, bool],
    *,
    several: bool,
) -> tuple[Cell, ...]:
    base = baseline_of(artifact, artifacts, baseline)
    verified = artifact.verification
    alone = base is None or base.key == artifact.key
    smaller = (
        DASH
        if base is None or alone or not artifact.file.bytes
        else f"{base.file.bytes / artifact.file.bytes:.2f}×"
    )
    row = [
        Cell(artifact.key),
        *([Cell(measurement.target)] if several and measurement else []),
        Cell(numbers.size(artifact.file.bytes)),
        Cell(smaller),
        metric_cell(headline(verified.metrics)),
    ]
    if measurement:
        row += _measured_cells(artifact.key, measurement, None if base is None or alone else base)
    if met:
        row.append(_budget_cell(met.get(artifact.key, met.get(artifact.variant))))
    return cells(*row)


def _measured_cells(key: str, measurement: Measurement, base: Artifact | None) -> list[Cell]:
    """Median, speed-up against another artifact where there is one, and memory."""
    summary = measurement.summaries.get(key)
    useless = mark(measurement)
    dim = bool(useless) or bool(measurement.unjudged(key))
    ratio = numbers.ratio(measurement.latency_ratio(base.key, key)) if base else DASH
    times = [
        with_interval(numbers.estimate_ms(summary.p50 if summary else None)),
        with_interval(ratio),
    ]
    peak = Cell(numbers.size(summary.peak_bytes if summary else None))
    return [*(marked_cell(cell, useless, dim=dim) for cell in times), peak]


def _budget_cell(met: bool | None) -> Cell:
    """Whether the budget is met; a dash where it says nothing."""
    if met is None:
        return Cell(DASH)
    return Cell("met", tone="good") if met else Cell("not met", tone="bad")


def pareto_figure(measurement: Measurement) -> Block:
    """The headline metric against latency, bubbles by size; the line joins what nothing beats in
    both."""
    shown = [
        (result, headline(result.artifact.verification.metrics))
        for result in measurement.artifacts
        if result.key in measurement.summaries
    ]
    measured = [(result, metric) for result, metric in shown if metric is not None]
    if not measured:
        return Absent(
            f"metrics against latency on {measurement.target}",
            "no run finished" if not shown else "the evaluation set has no labels",
        )
    kind = measured[0][1]
    looks = styles(measurement)
    useless = mark(measurement)
    largest = max(result.artifact.file.bytes for result, _ in measured) or 1
    points = [
        (measurement.summaries[result.key].p50.value / 1e6, metric.value)
        for result, metric in measured
    ]
    edge = frontier(points, higher_is_better=kind.higher_is_better)
    line = {"color": SOFT, "width": 1, "dash": "dash"}
    path = {
        "type": "scatter",
        "mode": "lines",
        "name": "best trade-offs",
        "x": [x for x, _ in edge],
        "y": [y for _, y in edge],
        "hoverinfo": "skip",
    }
    data = [{**path, "line": line}] if len(edge) > 1 else []
    data += [
        _bubble(measurement, result, metric, point, looks[result.key], largest)
        for (result, metric), point in zip(measured, points, strict=True)
    ]
    whole = layout(
        x=log_axis(f"p50, ms{useless}", [x for x, _ in points]), y=axis(unit_label(kind))
    )
    caption = (
        "Bars are 95 % intervals; the area of a bubble is the size of the file; hollow ones do"
        f" not count. Left and {'up' if kind.higher_is_better else 'down'} is better. "
    )
    title = f"{label(kind.label)} against latency on {printable(measurement.target)}{useless}"
    return Figure("pareto", title, tuple(data), whole, 420, caption + flag(measurement))


def unit_label(kind: MetricKind) -> str:
    """A metric as the title of an axis."""
    return label(f"{kind.label}, {kind.unit}" if kind.unit else kind.label)


def _bubble(
    measurement: Measurement,
    result: ArtifactResult,
    metric: MetricValue,
    point: tuple[float, float],
    style: Any,
    largest: int,
) -> dict[str, Any]:
    p50 = measurement.summaries[result.key].p50
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    size = max(SMALLEST_BUBBLE_PX, BUBBLE_PX * (result.artifact.file.bytes / largest) ** 0.5)
    hollow = bool(measurement.unjudged(result.key))
    marker = {
        "size": size,
        "sizemode": "diameter",
        "color": style.colour,
        "symbol": style.symbol + "-open" * hollow,
        "opacity": 0.8,
        "line": {"width": 1.5},
    }
    bars = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": style.colour}
    times = {
        **bars,
        "array": [((p50.high or p50.value) - p50.value) / 1e6],
        "arrayminus": [(p50.value - (p50.low or p50.value)) / 1e6],
    }
    shares = {**bars, "array": [high - metric.value], "arrayminus": [metric.value - low]}
    about = f"{numbers.size(result.artifact.file.bytes)}, {label(result.key)}"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(result.key),
        "x": [point[0]],
        "y": [point[1]],
        "error_x": times,
        "error_y": shares,
        "marker": marker,
        "text": [about],
        "hovertemplate": _hover(metric),
    }


def _hover(metric: MetricValue) -> str:
    value = numbers.with_unit(f"%{{y:.{metric.decimals}f}}", metric.unit)
    return label(value) + " at %{x:.4g} ms, %{text}<extra></extra>"


def frontier(
    points: Sequence[tuple[float, float]], *, higher_is_better: bool = True
) -> list[tuple[float, float]]:
    """The points (less is better, and as said) that no other beats in both, from left to right."""
    sign = 1 if higher_is_better else -1
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not best or sign * y > sign * best[-1][1]:
            best.append((x, y))
    return best
