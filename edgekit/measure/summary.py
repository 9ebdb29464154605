"""What the runs of an artifact come to: percentiles with their intervals, stages, memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit import stats
from edgekit.measure.protocol_lines import MemoryMark
from edgekit.measure.runs import ArtifactResult
from edgekit.stats import ClusteredShare, Outliers, QuantileEstimate


@dataclass(frozen=True)
class MemoryUse:
    """Resident bytes of the runner process at a mark, medians over runs: by kind, its proportional
    share (PSS), and all of it less the empty runner."""

    anon: int
    file: int
    pss: int | None
    beyond_baseline: int | None


@dataclass(frozen=True)
class ArtifactSummary:
    """What the runs of an artifact come to. Latencies are Estimates in ns.

    `p50` is the median of the runs' medians with its interval over runs; `mad_ns` their median
    absolute deviation; `p90`, `p95` and `p99` are of all counted samples together, None below their
    floors. Stages, memory and `overhead_ns` (the runner's own timing, per inference, which is in
    every sample) are medians over runs, and so is `model_bytes`, what the model adds to the runner
    at its peak; `peak_bytes` is the largest of any run. `misses` are the
    samples that took longer than the deadline of the settings, None without one."""

    key: str
    runs: int
    samples: int
    counted_seconds: float
    p50: QuantileEstimate
    mad_ns: float
    p90: QuantileEstimate | None
    p95: QuantileEstimate | None
    p99: QuantileEstimate | None
    start_ms: float | None
    load_ms: float | None
    first_ms: float | None
    overhead_ns: float | None
    memory_bytes: dict[str, int]
    memory_kinds: dict[str, MemoryUse]
    steady_anon_bytes: int | None
    steady_file_bytes: int | None
    peak_bytes: int | None
    model_bytes: int | None
    outliers: Outliers
    unsteady_runs: int
    misses: ClusteredShare | None = None


def summarise(result: ArtifactResult, deadline_ms: float | None = None) -> ArtifactSummary:
    """Raises ValueError without a complete run."""
    runs = result.complete_runs
    pooled = np.concatenate([np.asarray(run.steady_ns, dtype=float) for run in runs])
    steadiness = [stats.steadiness(run.steady_ns) for run in runs]
    marks = {
        kind: [m for run in runs if (m := run.memory_at(kind))]
        for kind in ("baseline", "loaded", "first", "steady", "end")
    }
    return ArtifactSummary(
        key=result.key,
        runs=len(runs),
        samples=len(pooled),
        counted_seconds=float(pooled.sum()) / 1e9,
        p50=stats.median(result.run_medians_ns),
        mad_ns=stats.mad(result.run_medians_ns),
        p90=stats.percentile(pooled, 0.90),
        p95=stats.percentile(pooled, 0.95),
        p99=stats.percentile(pooled, 0.99),
        start_ms=_median_ms([run.start_ns for run in runs]),
        load_ms=_median_ms([run.load_ns for run in runs]),
        first_ms=_median_ms([run.first_ns for run in runs]),
        overhead_ns=_median([run.overhead_ns_per_iteration for run in runs]),
        memory_bytes={
            kind: int(np.median([mark.rss_bytes for mark in of_kind]))
            for kind, of_kind in marks.items()
            if of_kind
        },
        memory_kinds={
            kind: _memory_use(of_kind, marks["baseline"])
            for kind, of_kind in marks.items()
            if of_kind
        },
        steady_anon_bytes=(
            int(np.median([m.rss_anon_bytes for m in marks["steady"]])) if marks["steady"] else None
        ),
        steady_file_bytes=(
            int(np.median([m.rss_file_bytes for m in marks["steady"]])) if marks["steady"] else None
        ),
        peak_bytes=max(
            (run.peak_bytes for run in runs if run.peak_bytes is not None), default=None
        ),
        model_bytes=_median_bytes([run.model_bytes for run in runs]),
        outliers=stats.outliers(pooled),
        unsteady_runs=sum(1 for run in steadiness if run and not run.steady),
        misses=None if deadline_ms is None else result.deadline_misses(deadline_ms),
    )


def _memory_use(marks: list[MemoryMark], baseline: list[MemoryMark]) -> MemoryUse:
    pss = [mark.pss_bytes for mark in marks if mark.pss_bytes is not None]
    own = int(np.median([mark.rss_bytes for mark in marks]))
    return MemoryUse(
        anon=int(np.median([mark.rss_anon_bytes for mark in marks])),
        file=int(np.median([mark.rss_file_bytes + mark.rss_shmem_bytes for mark in marks])),
        pss=int(np.median(pss)) if pss else None,
        beyond_baseline=(
            own - int(np.median([mark.rss_bytes for mark in baseline])) if baseline else None
        ),
    )


def summary_dict(summary: ArtifactSummary) -> dict[str, Any]:
    """A summary as plain JSON values, latencies in ms."""

    def ms(estimate: QuantileEstimate | None) -> dict[str, float | None] | None:
        if estimate is None:
            return None
        low, high = (
            None if bound is None else bound / 1e6 for bound in (estimate.low, estimate.high)
        )
        return {"ms": estimate.value / 1e6, "low_ms": low, "high_ms": high}

    counts = {name: getattr(summary, name) for name in ("runs", "samples", "counted_seconds")}
    plain = counts | {
        name: getattr(summary, name)
        for name in ("mad_ns", "start_ms", "load_ms", "first_ms", "overhead_ns")
    }
    memory = {
        name: getattr(summary, name)
        for name in (
            "memory_bytes",
            "steady_anon_bytes",
            "steady_file_bytes",
            "peak_bytes",
            "model_bytes",
            "unsteady_runs",
        )
    }
    memory["memory_kinds"] = {mark: vars(use) for mark, use in summary.memory_kinds.items()}
    latency = {name: ms(getattr(summary, name)) for name in ("p50", "p90", "p95", "p99")}
    misses = None if summary.misses is None else share_dict(summary.misses)
    others = {"outliers": vars(summary.outliers), "deadline_misses": misses}
    return {**plain, **latency, **memory, **others}


def share_dict(value: ClusteredShare) -> dict[str, float]:
    """A share as plain JSON values, in percent."""
    shares = {"percent": value.share, "low_percent": value.low, "high_percent": value.high}
    return {
        "misses": value.count,
        "samples": value.total,
        **{name: 100 * share for name, share in shares.items()},
    }


def _median_ms(values_ns: Sequence[int | None]) -> float | None:
    median_ns = _median(values_ns)
    return None if median_ns is None else median_ns / 1e6


def _median_bytes(values: Sequence[int | None]) -> int | None:
    median = _median(values)
    return None if median is None else int(median)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
