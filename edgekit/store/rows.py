"""A measurement as rows, and rows as a measurement. Owns what is compressed and how; transactions
are results.py's."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert

from edgekit.measure.format1 import upgraded_measurement
from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult, MeasuredRun
from edgekit.store.tables import artifact_results, bodies, measurements, run_samples

MAX_BODY_BYTES = 256 << 20
SAMPLES = {"artifacts": {"__all__": {"runs": {"__all__": {"warmup_ns", "steady_ns"}}}}}
"""The fields of a measurement that are stored apart from its body."""


def write(connection: Connection, measurement: Measurement) -> None:
    """Insert all rows of a measurement; the first statement is a write."""
    row = {
        name: getattr(measurement, name)
        for name in (
            "id",
            "created",
            "session",
            "bundle_name",
            "bundle_id",
            "recipe_sha256",
            "target",
            "target_kind",
        )
    }
    row |= {
        name: getattr(measurement, name)
        for name in ("edgekit_version", "quick", "valid", "timings", "failure")
    }
    row |= {"machine": measurement.device.machine, "runs": measurement.settings.runs}
    row |= {"artifacts": "\n".join(result.key for result in measurement.artifacts)}
    connection.execute(insert(measurements), row)
    body = zlib.compress(measurement.model_dump_json(exclude=SAMPLES).encode())
    connection.execute(insert(bodies), {"measurement_id": measurement.id, "body": body})
    results = [
        _result_row(measurement, position, result)
        for position, result in enumerate(measurement.artifacts)
    ]
    samples = list(_sample_rows(measurement))
    if results:
        connection.execute(insert(artifact_results), results)
    if samples:
        connection.execute(insert(run_samples), samples)


def _result_row(measurement: Measurement, position: int, result: ArtifactResult) -> dict[str, Any]:
    summary = measurement.summaries.get(result.key)
    return {
        "measurement_id": measurement.id,
        "position": position,
        "artifact": result.key,
        "sha256": result.artifact.file.sha256,
        "bytes": result.artifact.file.bytes,
        "runtime_version": result.runner.runtime_version if result.runner else None,
        "runs": len(result.complete_runs),
        "samples": summary.samples if summary else 0,
        "p50_ns": summary.p50.value if summary else None,
        "p50_low_ns": summary.p50.low if summary else None,
        "p50_high_ns": summary.p50.high if summary else None,
        "p90_ns": summary.p90.value if summary and summary.p90 else None,
        "p99_ns": summary.p99.value if summary and summary.p99 else None,
        "peak_bytes": summary.peak_bytes if summary else None,
    }


def _sample_rows(measurement: Measurement) -> Iterator[dict[str, Any]]:
    for position, result in enumerate(measurement.artifacts):
        for number, run in enumerate(result.runs):
            for phase, values in _phases(run).items():
                key = {
                    "measurement_id": measurement.id,
                    "position": position,
                    "run": number,
                    "phase": phase,
                }
                yield {**key, "count": len(values), "data": pack(values)}


def _phases(run: MeasuredRun) -> dict[str, tuple[int, ...]]:
    return {"warmup": run.warmup_ns, "steady": run.steady_ns}


def pack(values: Sequence[int]) -> bytes:
    """Nanoseconds as deflated little-endian 64-bit integers."""
    return zlib.compress(np.asarray(values, dtype="<i8").tobytes())


def unpack(data: bytes, count: int) -> list[int]:
    """Raises ValueError or zlib.error unless `data` holds exactly `count` values. Inflates no more
    than that."""
    inflater = zlib.decompressobj()
    raw = inflater.decompress(data, count * 8 + 1)
    if len(raw) != count * 8:
        raise ValueError("another number of samples than the row says")
    return [int(value) for value in np.frombuffer(raw, dtype="<i8")]


def read(body: bytes, samples: Sequence[Any]) -> Measurement:
    """A measurement of this format or of an earlier one. Raises ValueError, LookupError, TypeError,
    AttributeError, RecursionError or zlib.error for what is neither."""
    inflater = zlib.decompressobj()
    values = json.loads(inflater.decompress(body, MAX_BODY_BYTES))
    for row in samples:
        run = values["artifacts"][row["position"]]["runs"][row["run"]]
        run[f"{row['phase']}_ns"] = unpack(row["data"], row["count"])
    return Measurement.model_validate(upgraded_measurement(values))
