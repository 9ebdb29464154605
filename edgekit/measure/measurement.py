"""A measurement: what one session on one device gave, as frozen values that survive JSON. Owns the
raw data and the summaries that follow from it.

Measurement    a bundle on a target: device, settings, validity notes, and per artifact:
  ArtifactResult    which artifact, which runner, the comparison of its outputs with the bundle's
                    reference, and its runs
    Run             one fresh process: raw samples in ns, stages, memory marks, the device's state
                    before and after
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edgekit import stats
from edgekit.bundle.manifest import Artifact, Comparison
from edgekit.devices.facts import CpuTime, DeviceFacts, DeviceState
from edgekit.devices.probe import Probe
from edgekit.measure.extra_results import DeviceEvaluation, Energy, Profile, Sustained
from edgekit.measure.protocol_lines import HelloValues, MemoryMark, WindowValues
from edgekit.measure.settings import Settings
from edgekit.metrics import MetricValue
from edgekit.stats import Estimate, Fidelity, Outliers, Ratio
from edgekit.stats.compare import FULL_RUNS

Level = Literal["invalid", "warning", "unknown", "note"]
MemoryKind = Literal["baseline", "loaded", "first", "steady", "end"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Note(Part):
    """Something a reader of the numbers must know. `invalid` takes the numbers out of every
    judgement; `artifact` is None when all are concerned."""

    level: Level
    code: str
    text: str
    artifact: str | None = None


class Controlled(Part):
    """What the target's `control` changed while it was measured; how long runs waited for the
    device to cool, and how many waited in vain."""

    governor: str | None = None
    cpus: tuple[int, ...] = ()
    cool_below_c: float | None = None
    cooled_seconds: float = 0.0
    still_hot_runs: int = 0


class Run(Part):
    """One process of a runner. Not `complete` when it crashed, hung or was stopped; then it holds
    what came before.

    `cpu_ns` is the processor time of the process, `device_cpu` that of all processes in the same
    time. `windows` say what the measurement's probes read between inferences of the steady phase.
    """

    index: int
    started: str
    complete: bool
    start_ns: int | None
    load_ns: int | None
    first_ns: int | None
    warmup_ns: tuple[int, ...]
    steady_ns: tuple[int, ...]
    overhead_ns_per_iteration: float | None
    memory: tuple[MemoryMark, ...]
    before: DeviceState
    after: DeviceState | None
    cpu_ns: int | None = None
    device_cpu: CpuTime | None = None
    windows: tuple[WindowValues, ...] = ()

    @property
    def others_share(self) -> float | None:
        """The part of the device's processor time that went to other processes during the run, 0 to
        1; None where the runner does not tell."""
        if self.device_cpu is None or self.cpu_ns is None or self.device_cpu.total_s <= 0:
            return None
        return max(0.0, self.device_cpu.busy_s - self.cpu_ns / 1e9) / self.device_cpu.total_s

    @property
    def median_ns(self) -> float:
        return float(np.median(self.steady_ns))

    def memory_at(self, kind: MemoryKind) -> MemoryMark | None:
        return next((mark for mark in self.memory if mark.mark == kind), None)

    @property
    def peak_bytes(self) -> int | None:
        """The largest resident size of the process: the highest VmHWM of its marks, or None where
        the device does not tell."""
        return max(
            (mark.peak_rss_bytes for mark in self.memory if mark.peak_rss_bytes is not None),
            default=None,
        )


RunnerKind = Literal["edgekit", "executor_runner", "benchmark_model"]


class OutputCheck(Part):
    """One output tensor on the device against the bundle's reference, over all reference samples
    and runs: the worst of each measure.

    In real (dequantized) values; `snr_db` None means equal to the last bit.
    """

    name: str
    finite: bool
    equal: bool
    max_abs_error: float
    snr_db: float | None
    cosine: float

    @classmethod
    def worst(cls, name: str, found: list[Fidelity]) -> OutputCheck:
        noisy = [f.snr_db for f in found if f.snr_db is not None]
        return cls(
            name=name,
            finite=all(f.finite for f in found),
            equal=all(f.equal for f in found),
            max_abs_error=max(f.max_abs_error for f in found),
            snr_db=min(noisy, default=None),
            cosine=min(f.cosine for f in found),
        )


class ArtifactResult(Part):
    """All runs of one artifact, in the order of time."""

    artifact: Artifact
    runner: HelloValues | None
    arena_bytes: int | None
    outputs: tuple[OutputCheck, ...]
    runs: tuple[Run, ...]
    profile: Profile | None = None
    sustained: Sustained | None = None
    evaluation: DeviceEvaluation | None = None
    energy: Energy | None = None
    runner_kind: RunnerKind = "edgekit"

    @property
    def key(self) -> str:
        return self.artifact.key

    @property
    def complete_runs(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.complete)

    @property
    def run_medians_ns(self) -> list[float]:
        return [run.median_ns for run in self.complete_runs]


@dataclass(frozen=True)
class MemoryUse:
    """Resident bytes of the runner process at a mark, medians over runs: by kind, its proportional
    share (PSS), and all of it less the empty runner."""

    anon: int
    file: int
    pss: int | None
    beyond_baseline: int | None


@dataclass(frozen=True)
class Summary:
    """What the runs of an artifact come to. Latencies are Estimates in ns.

    `p50` is the median of the runs' medians with its interval over runs; `mad_ns` their median
    absolute deviation; `p90`, `p95` and `p99` are of all counted samples together, None below their
    floors. Stages, memory and `overhead_ns` (the runner's own timing, per inference, which is in
    every sample) are medians over runs; `peak_bytes` is the largest of any run."""

    key: str
    runs: int
    samples: int
    counted_seconds: float
    p50: Estimate
    mad_ns: float
    p90: Estimate | None
    p95: Estimate | None
    p99: Estimate | None
    start_ms: float | None
    load_ms: float | None
    first_ms: float | None
    overhead_ns: float | None
    memory_bytes: dict[str, int]
    memory_kinds: dict[str, MemoryUse]
    steady_anon_bytes: int | None
    steady_file_bytes: int | None
    peak_bytes: int | None
    outliers: Outliers
    unsteady_runs: int


class Measurement(Part):
    """A bundle measured on a target. Times are UTC, ISO 8601. `failure` says what ended the session
    early; its last run is then incomplete.

    Measurements of one `session` were measured in turn on one device, and can be compared.
    `runtimes` are the outputs of each variant's `.pte` and `.tflite` against each other, as the
    device computed them of the bundle's reference samples."""

    format: Literal[2] = 2
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    session: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    created: str
    seconds: float
    edgekit_version: str
    bundle_id: str
    bundle_name: str
    recipe_sha256: str
    target: str
    target_kind: str
    timings: Literal["meaningful", "meaningless"] = "meaningful"
    timings_reason: str = ""
    device: DeviceFacts
    settings: Settings
    artifacts: tuple[ArtifactResult, ...]
    notes: tuple[Note, ...] = ()
    failure: str = ""
    controlled: Controlled = Controlled()
    probes: tuple[Probe, ...] = ()
    runtimes: tuple[Comparison, ...] = ()

    @property
    def quick(self) -> bool:
        """Fewer than 10 complete runs of some artifact: to look at, not to judge by."""
        return any(len(result.complete_runs) < FULL_RUNS for result in self.artifacts)

    @property
    def valid(self) -> bool:
        return not any(note.level == "invalid" for note in self.notes)

    def result(self, key: str) -> ArtifactResult | None:
        return next((result for result in self.artifacts if result.key == key), None)

    @cached_property
    def summaries(self) -> dict[str, Summary]:
        """By artifact key; artifacts without a complete run are left out."""
        return {result.key: summarise(result) for result in self.artifacts if result.complete_runs}

    def unjudged(self, *keys: str) -> str:
        """Why latencies of these artifacts must not be judged; empty when they may be."""
        if self.timings == "meaningless":
            return f"timings are meaningless: {self.timings_reason}"
        for note in self.notes:
            if note.level == "invalid" and note.artifact in (None, *keys):
                return f"invalid: {note.text}"
        runs = min(
            (len(result.complete_runs) for key in keys if (result := self.result(key))), default=0
        )
        return f"quick: {runs} of {FULL_RUNS} runs" if runs < FULL_RUNS else ""

    def p50_ms(self, key: str) -> float | None:
        """Median latency, for a judgement: None where `unjudged` says why."""
        return (
            self.summaries[key].p50.value / 1e6
            if key in self.summaries and not self.unjudged(key)
            else None
        )

    def speedup(self, baseline_key: str, key: str) -> Ratio | None:
        """Times faster than the baseline, for a judgement: None where `unjudged` says why."""
        return None if self.unjudged(baseline_key, key) else self.latency_ratio(baseline_key, key)

    def latency_ratio(self, numerator_key: str, denominator_key: str) -> Ratio | None:
        """The ratio of two median latencies with its interval over runs; None when either has no
        complete run."""
        results = [self.result(key) for key in (numerator_key, denominator_key)]
        medians = [result.run_medians_ns if result else [] for result in results]
        return stats.ratio_of_medians(*medians) if all(medians) else None

    def peak_memory_bytes(self, key: str) -> int | None:
        """Peak resident memory of the runner process; None when it is not known, or the artifact
        gave wrong outputs."""
        wrong = any(note.level == "invalid" and note.artifact == key for note in self.notes)
        return None if wrong or key not in self.summaries else self.summaries[key].peak_bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: everything but the raw samples, with the summaries. Of a long run the
        curve: [end in s, median in ns, inferences/s]."""
        values = self.model_dump(
            mode="json", exclude={"artifacts": {"__all__": {"runs", "artifact"}}}
        )
        for result, found in zip(values["artifacts"], self.artifacts, strict=True):
            result["artifact"] = found.key
            result["sha256"] = found.artifact.file.sha256
            result["bytes"] = found.artifact.file.bytes
            result["metrics"] = metric_dicts(found.artifact.verification.metrics)
            if found.evaluation:
                result["evaluation"]["metrics"] = metric_dicts(found.evaluation.metrics)
            result["run_medians_ns"] = found.run_medians_ns
            result["others_share"] = max(
                (share for run in found.runs if (share := run.others_share) is not None),
                default=None,
            )
            if found.sustained:
                del result["sustained"]["windows"]
                result["sustained"] |= {
                    "burst_ns": found.sustained.burst_ns,
                    "sustained_ns": found.sustained.sustained_ns,
                    "curve": found.sustained.curve,
                }
            result["summary"] = (
                summary_dict(self.summaries[found.key]) if found.key in self.summaries else None
            )
        return {**values, "quick": self.quick, "valid": self.valid}


def metric_dicts(metrics: Sequence[MetricValue]) -> list[dict[str, Any]]:
    """Metrics as plain JSON values, without the samples' own."""
    return [metric.model_dump(mode="json", exclude={"per_sample"}) for metric in metrics]


def summarise(result: ArtifactResult) -> Summary:
    """Raises ValueError without a complete run."""
    runs = result.complete_runs
    pooled = np.concatenate([np.asarray(run.steady_ns, dtype=float) for run in runs])
    steadiness = [stats.steadiness(run.steady_ns) for run in runs]
    marks = {
        kind: [m for run in runs if (m := run.memory_at(kind))]
        for kind in ("baseline", "loaded", "first", "steady", "end")
    }
    return Summary(
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
            kind: int(np.median([mark.rss_bytes for mark in found]))
            for kind, found in marks.items()
            if found
        },
        memory_kinds={
            kind: _memory_use(found, marks["baseline"]) for kind, found in marks.items() if found
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
        outliers=stats.outliers(pooled),
        unsteady_runs=sum(1 for found in steadiness if found and not found.steady),
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


def summary_dict(summary: Summary) -> dict[str, Any]:
    """A summary as plain JSON values, latencies in ms."""

    def ms(estimate: Estimate | None) -> dict[str, float | None] | None:
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
            "unsteady_runs",
        )
    }
    memory["memory_kinds"] = {mark: vars(use) for mark, use in summary.memory_kinds.items()}
    latency = {name: ms(getattr(summary, name)) for name in ("p50", "p90", "p95", "p99")}
    return {**plain, **latency, **memory, "outliers": vars(summary.outliers)}


def _median_ms(values_ns: Sequence[int | None]) -> float | None:
    found = _median(values_ns)
    return None if found is None else found / 1e6


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
