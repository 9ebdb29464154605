"""What the runs of one artifact gave: raw samples, marks, and its outputs against the reference."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from edgekit.bundle.manifest import Artifact
from edgekit.devices.facts import CpuTime, DeviceState
from edgekit.measure.extra_results import DeviceEvaluation, Energy, Profile, SampleSteps, Sustained
from edgekit.measure.protocol_lines import HelloValues, MemoryMark, WindowValues
from edgekit.stats import ClusteredShare, Fidelity, clustered_share

MemoryKind = Literal["baseline", "loaded", "first", "steady", "end"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasuredRun(Part):
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

    @property
    def model_bytes(self) -> int | None:
        """What the model adds to the runner: the largest resident size once there is a model, less
        that of the empty runner; None where the device does not tell.

        A peak that stood before the model was loaded is the runner's: a device may not let a
        process reset it."""
        empty = self.memory_at("baseline")
        later = [mark for mark in self.memory if mark.mark != "baseline"]
        if empty is None or not later:
            return None
        peaks = [mark.peak_rss_bytes for mark in later if mark.peak_rss_bytes is not None]
        of_the_model = [peak for peak in peaks if peak > (empty.peak_rss_bytes or 0)]
        largest = max([*(mark.rss_bytes for mark in later), *of_the_model])
        return max(0, largest - empty.rss_bytes)


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
    def worst(cls, name: str, results: list[Fidelity]) -> OutputCheck:
        noisy = [f.snr_db for f in results if f.snr_db is not None]
        return cls(
            name=name,
            finite=all(f.finite for f in results),
            equal=all(f.equal for f in results),
            max_abs_error=max(f.max_abs_error for f in results),
            snr_db=min(noisy, default=None),
            cosine=min(f.cosine for f in results),
        )


class ArtifactResult(Part):
    """All runs of one artifact, in the order of time. `python_because` says why edgekit's runner in
    Python ran it, empty for a native one and in older results."""

    artifact: Artifact
    runner: HelloValues | None
    arena_bytes: int | None
    outputs: tuple[OutputCheck, ...]
    runs: tuple[MeasuredRun, ...]
    profile: Profile | None = None
    sustained: Sustained | None = None
    evaluation: DeviceEvaluation | None = None
    energy: Energy | None = None
    pipeline: SampleSteps | None = None
    runner_kind: RunnerKind = "edgekit"
    python_because: str = ""

    @property
    def key(self) -> str:
        return self.artifact.key

    @property
    def complete_runs(self) -> tuple[MeasuredRun, ...]:
        return tuple(run for run in self.runs if run.complete)

    def deadline_misses(self, deadline_ms: float) -> ClusteredShare | None:
        """How many of all counted inferences took longer, with an interval over runs; None without
        any."""
        runs = [run.steady_ns for run in self.complete_runs if run.steady_ns]
        if not runs:
            return None
        deadline_ns = deadline_ms * 1e6
        misses = [int((np.asarray(run) > deadline_ns).sum()) for run in runs]
        return clustered_share(misses, [len(run) for run in runs])

    @property
    def run_medians_ns(self) -> list[float]:
        return [run.median_ns for run in self.complete_runs]


def unlike_runners(*results: ArtifactResult | None) -> str:
    """Why results must not be compared with each other: different runners of one runtime ran them,
    whose own time and memory is in the numbers. Empty where they may be."""
    ran: dict[str, dict[str, str]] = {}
    for result in results:
        if result is not None and result.runner is not None:
            runners = ran.setdefault(result.artifact.runtime, {})
            runners.setdefault(result.runner.runner, result.key)
    for runners in ran.values():
        if len(runners) > 1:
            by = " and ".join(f"{key} by {runner}" for runner, key in runners.items())
            return f"measured by different runners: {by}"
    return ""
