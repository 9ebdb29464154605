"""Measurements as rows for other programs: CSV for spreadsheets, JSON lines for everything else,
Parquet for tables. One row an artifact of a measurement."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from edgekit.errors import UsageError
from edgekit.installing import install_command
from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult
from edgekit.metrics import MetricValue
from edgekit.sanitize import csv_cell
from edgekit.stats import ClusteredShare, QuantileEstimate
from edgekit.whole_file import whole_file


def rows(measurement: Measurement) -> Iterator[dict[str, Any]]:
    """Flat rows; None where something is not available. Times in ms, sizes in bytes.

    All have the same keys, followed by four for each metric of the task (`metric_NAME`,
    `metric_NAME_low`, …) on the build host, and where it was measured on the device."""
    shared = {
        "measurement": measurement.id,
        "created": measurement.created,
        "bundle": measurement.bundle_name,
        "bundle_id": measurement.bundle_id,
        "recipe_sha256": measurement.recipe_sha256,
        "target": measurement.target,
        "machine": measurement.device.machine,
        "arch": measurement.device.arch,
        "edgekit_version": measurement.edgekit_version,
        "threads": measurement.settings.threads,
        "quick": measurement.quick,
        "valid": measurement.valid,
        "timings": measurement.timings,
        "failure": measurement.failure,
    }
    for result in measurement.artifacts:
        summary = measurement.summaries.get(result.key)
        artifact = result.artifact
        marks = summary.memory_bytes if summary else {}
        yield {
            **shared,
            "artifact": result.key,
            "sha256": artifact.file.sha256,
            "bytes": artifact.file.bytes,
            "deflated_bytes": artifact.file.deflated_bytes,
            "runner_kind": result.runner_kind,
            "runtime": result.runner.runtime if result.runner else None,
            "runtime_version": result.runner.runtime_version if result.runner else None,
            "runs": len(result.complete_runs),
            "samples": summary.samples if summary else 0,
            **_latency("p50", summary.p50 if summary else None),
            **_latency("p90", summary.p90 if summary else None),
            **_latency("p99", summary.p99 if summary else None),
            "deadline_ms": measurement.settings.deadline_ms,
            **_misses(summary.misses if summary else None),
            "mad_ms": summary.mad_ns / 1e6 if summary else None,
            "start_ms": summary.start_ms if summary else None,
            "load_ms": summary.load_ms if summary else None,
            "first_ms": summary.first_ms if summary else None,
            "overhead_ns": summary.overhead_ns if summary else None,
            **{
                f"{mark}_rss_bytes": marks.get(mark)
                for mark in ("baseline", "loaded", "first", "steady")
            },
            "peak_rss_bytes": summary.peak_bytes if summary else None,
            "model_bytes": summary.model_bytes if summary else None,
            "arena_bytes": result.arena_bytes,
            "pre_ms": result.pipeline.pre_ns / 1e6 if result.pipeline else None,
            "post_ms": _post_ms(result),
            "pre_post_where": result.pipeline.where if result.pipeline else None,
            "energy_joules": result.energy.joules if result.energy else None,
            "notes": " ".join(
                note.code for note in measurement.notes if note.artifact in (None, result.key)
            ),
            **_metrics("metric", artifact.verification.metrics),
            **_metrics("device_metric", result.evaluation.metrics if result.evaluation else ()),
        }


def columns(listed: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows, in their order: measurements of several tasks have several metrics."""
    return list(dict.fromkeys(key for row in listed for key in row))


def write_csv(measurements: Iterable[Measurement], stream: IO[str]) -> None:
    """Write measurements as CSV with a header line, one row an artifact. Text that a spreadsheet
    would run is made inert. Without measurements nothing is written.

    Args:
        measurements: What to write.
        stream: A text file that is open for writing.

    Returns:
        Nothing.

    Raises:
        OSError: The stream cannot be written to.

    Example:
        >>> import io
        >>> table = io.StringIO()
        >>> measurements = edgekit.bench("net", "desk", settings={"runs": 1})
        >>> edgekit.write_csv(measurements.values(), table)
        >>> len(table.getvalue().splitlines())
        2
    """
    listed = [row for measurement in measurements for row in rows(measurement)]
    if not listed:
        return
    writer = csv.DictWriter(stream, columns(listed), lineterminator="\n")
    writer.writeheader()
    for row in listed:
        writer.writerow({key: csv_cell(value) for key, value in row.items()})


def write_jsonl(measurements: Iterable[Measurement], stream: IO[str], *, raw: bool = False) -> None:
    """Write measurements as JSON lines, one object an artifact.

    Args:
        measurements: What to write.
        stream: A text file that is open for writing.
        raw: Write one object a measurement instead, whole, with every sample.

    Returns:
        Nothing.

    Raises:
        OSError: The stream cannot be written to.

    Example:
        >>> import io, json
        >>> lines = io.StringIO()
        >>> measurements = edgekit.bench("net", "desk", settings={"runs": 1})
        >>> edgekit.write_jsonl(measurements.values(), lines)
        >>> json.loads(lines.getvalue())["artifact"]
        'fp32.pte'
    """
    for measurement in measurements:
        if raw:
            stream.write(measurement.model_dump_json() + "\n")
        else:
            stream.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows(measurement))


def write_parquet(measurements: Iterable[Measurement], path: Path) -> None:
    """Write measurements as a Parquet file, one row an artifact. Needs the extra `parquet`.

    Args:
        measurements: What to write.
        path: The file. It is replaced only by a whole one.

    Returns:
        Nothing.

    Raises:
        UsageError: pyarrow is not installed, or the file cannot be written.

    Example:
        >>> from pathlib import Path
        >>> measurements = edgekit.bench("net", "desk", settings={"runs": 1})
        >>> edgekit.write_parquet(measurements.values(), Path("results.parquet"))
        >>> Path("results.parquet").read_bytes()[:4]
        b'PAR1'
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed", hint=install_command("parquet")
        ) from None
    listed = [row for measurement in measurements for row in rows(measurement)]
    names = columns(listed)
    whole = {
        key
        for key in names
        if key.endswith(("bytes", "samples")) or key in ("runs", "threads", "deadline_misses")
    }
    kinds = {"quick": pa.bool_(), "valid": pa.bool_()} | dict.fromkeys(whole, pa.int64())
    texts = {key for row in listed for key, value in row.items() if isinstance(value, str)}
    fields = [
        (key, kinds.get(key, pa.string() if key in texts or key == "machine" else pa.float64()))
        for key in names
    ]
    try:
        with whole_file(path) as staged:
            parquet.write_table(pa.Table.from_pylist(listed, schema=pa.schema(fields)), staged)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None


def _latency(name: str, estimate: QuantileEstimate | None) -> dict[str, float | None]:
    values = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    keys = (f"{name}_ms", f"{name}_low_ms", f"{name}_high_ms")
    return {
        key: None if value is None else value / 1e6 for key, value in zip(keys, values, strict=True)
    }


def _post_ms(result: ArtifactResult) -> float | None:
    post_ns = result.pipeline.post_ns if result.pipeline else None
    return None if post_ns is None else post_ns / 1e6


def _misses(value: ClusteredShare | None) -> dict[str, float | None]:
    keys = ("deadline_misses", *(f"deadline_miss_percent{end}" for end in ("", "_low", "_high")))
    if value is None:
        return dict.fromkeys(keys)
    shares = [100 * share for share in (value.share, value.low, value.high)]
    return dict(zip(keys, (value.count, *shares), strict=True))


def _metrics(prefix: str, metrics: Iterable[MetricValue]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for metric in metrics:
        key = f"{prefix}_{metric.name}"
        values |= {key: metric.value, f"{key}_low": metric.low, f"{key}_high": metric.high}
        values[f"{key}_samples"] = metric.samples
    return values
