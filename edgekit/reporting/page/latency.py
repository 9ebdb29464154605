"""Latency of one session as a table."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.measure.measurement import Measurement
from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_of
from edgekit.reporting.page.style import mark
from edgekit.reporting.page.values import (
    Cell,
    Table,
    cells,
    with_interval,
)
from edgekit.reporting.tables import DASH


def latency_table(measurement: Measurement, baseline: str) -> Table:
    """Median with its interval over runs, tail, stages, and how stable it was."""
    useless = mark(measurement)
    artifacts = [result.artifact for result in measurement.artifacts]
    rows = []
    for artifact in artifacts:
        summary = measurement.summaries.get(artifact.key)
        base = baseline_of(artifact, artifacts, baseline)
        if summary is None:
            rows.append(cells(artifact.key, Cell("no complete run", tone="bad"), *[DASH] * 9))
            continue
        plain = base is None or base.key == artifact.key
        faster = (
            Cell(DASH)
            if plain or base is None
            else with_interval(numbers.ratio(measurement.latency_ratio(base.key, artifact.key)))
        )
        doubted = measurement.unjudged(artifact.key)
        times = [
            with_interval(numbers.estimate_ms(value))
            for value in (summary.p50, summary.p90, summary.p99)
        ]
        stages = [
            Cell(numbers.milliseconds(value))
            for value in (summary.start_ms, summary.load_ms, summary.first_ms)
        ]
        throughput = Cell(
            numbers.significant(1e9 / summary.p50.value)
            if summary.p50.value
            else numbers.NOT_AVAILABLE
        )
        dim = bool(useless) or doubted.startswith("invalid")
        marked = [
            marked_cell(cell, useless, dim=dim)
            for cell in (times[0], faster, *times[1:], throughput, *stages)
        ]
        spread = f"{100 * summary.mad_ns / summary.p50.value:.1f} %" if summary.p50.value else None
        samples = Cell(
            f"{summary.runs} × {round(summary.samples / summary.runs):,}",
            "quick" if doubted.startswith("quick") else "",
        )
        rows.append(cells(artifact.key, *marked, spread, samples))
    columns = (
        "artifact",
        "p50 ms",
        "faster",
        "p90 ms",
        "p99 ms",
        "per second",
        "start ms",
        "load ms",
        "first ms",
        "MAD",
        "runs × samples",
    )
    caption = (
        "95 % intervals. p50: median of the runs' medians, interval over runs. n/a: too few samples"
        " for that percentile."
    )
    return Table(columns, tuple(rows), caption=caption)


def deadline_tables(measurement: Measurement) -> Iterator[Table]:
    """How many inferences took longer than they may; nothing without a deadline."""
    deadline_ms = measurement.settings.deadline_ms
    if deadline_ms is None:
        return
    useless = mark(measurement)
    rows = []
    for key, summary in measurement.summaries.items():
        dim = bool(useless) or measurement.unjudged(key).startswith("invalid")
        share = with_interval(numbers.misses(summary.misses))
        count = Cell(f"{summary.misses.count:,}" if summary.misses else numbers.NOT_AVAILABLE)
        shown = (marked_cell(cell, useless, dim=dim) for cell in (count, share))
        rows.append(cells(key, f"{summary.samples:,}", *shown))
    columns = ("artifact", "inferences", "over it", "over it, %")
    caption = (
        "Of all counted inferences. The 95 % interval is over runs, as inferences of one run are"
        " alike."
    )
    yield Table(columns, tuple(rows), title=f"Deadline of {deadline_ms:g} ms", caption=caption)


def marked_cell(cell: Cell, useless: str, *, dim: bool) -> Cell:
    """A time with the sign of meaningless timings."""
    if cell.text in (DASH, numbers.NOT_AVAILABLE):
        return cell
    return Cell(cell.text + useless, cell.detail, "dim" if dim else cell.tone, cell.share)
