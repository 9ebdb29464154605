"""What a command shows on a terminal, top to bottom. Owns layout only; the tables
are in build_tables.py and measurement_tables.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_variant
from edgekit.reporting.build_tables import artifact_table, comparisons, export_times, trace_table
from edgekit.reporting.measurement_tables import (
    distribution_table,
    measurement_section,
    memory_table,
)
from edgekit.reporting.tables import new_table, number_columns, plain, spaced, without_empty

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Manifest, TraceRow
    from edgekit.measure.measurement import Measurement
    from edgekit.store.results import MeasurementRow
    from edgekit.verdict.budget import JudgedLimit


def summary(
    manifest: Manifest,
    trace: Sequence[TraceRow],
    export_seconds: Mapping[str, Mapping[str, float]],
    measurements: Mapping[str, Measurement],
    verdicts: Sequence[JudgedLimit],
) -> Iterator[RenderableType]:
    """Everything a build or run has to show, top to bottom: trace, how long exports took,
    artifacts, each target, verdict."""
    baseline = baseline_variant(manifest)
    if trace:
        yield spaced(trace_table(trace))
    if export_seconds:
        yield spaced(export_times(export_seconds))
    yield spaced(artifact_table(manifest.artifacts, baseline), comparisons(manifest.comparisons))
    for measurement in measurements.values():
        yield measurement_section(measurement, baseline)
    if verdicts:
        yield spaced(budget_table(verdicts))


def measurement_report(measurement: Measurement) -> Iterator[RenderableType]:
    """All about one stored measurement; ratios against its first variant."""
    artifacts = [result.artifact for result in measurement.artifacts]
    baseline = artifacts[0].variant if artifacts else ""
    heading = (
        f"{measurement.bundle_name} {measurement.bundle_id[:12]}, measured {measurement.created},"
        f" id {measurement.id}"
    )
    yield spaced(plain(heading, limit=300))
    yield spaced(artifact_table(artifacts, baseline))
    yield measurement_section(measurement, baseline)
    yield spaced(distribution_table(measurement))
    yield spaced(memory_table(measurement))


def results_table(rows: Sequence[MeasurementRow]) -> Table:
    """Stored measurements, one a line."""
    table = new_table("Measurements", "id")
    for column in ("created (UTC)", "bundle", "bundle id", "target"):
        table.add_column(column, no_wrap=True)
    table.add_column("remarks")
    number_columns(table, "artifacts", "runs")
    table.add_column("machine", no_wrap=True)
    for row in rows:
        flags = {
            "failed": bool(row.failure),
            "invalid": not row.valid,
            "quick": row.quick,
            "timings meaningless": row.timings == "meaningless",
        }
        remarks = Text(", ".join(flag for flag, set_ in flags.items() if set_), style="yellow")
        table.add_row(
            plain(row.id[:12]),
            plain(row.created[:16].replace("T", " ")),
            plain(row.bundle_name),
            plain(row.bundle_id[:12]),
            plain(row.target),
            remarks,
            str(len(row.artifacts)),
            str(row.runs),
            plain(row.machine),
        )
    return without_empty(table)


def budget_table(verdicts: Sequence[JudgedLimit]) -> Table:
    """Each limit of the budget against what was measured."""
    table = new_table("Budget", "verdict", "artifact", "limit")
    number_columns(table, "allowed", "measured")
    table.add_column("note")
    for verdict in verdicts:
        met = Text("met", style="green") if verdict.ok else Text("NOT MET", style="bold red")
        table.add_row(
            met,
            plain(verdict.artifact),
            plain(verdict.limit),
            *numbers.limits(verdict.limit, verdict.allowed, verdict.measured, verdict.metric),
            plain(verdict.note),
        )
    return without_empty(table)
