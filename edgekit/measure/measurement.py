"""A measurement: what one session on one device gave, as frozen values that survive JSON. Owns
what is said of the session as a whole; its runs are runs.py's, what they come to is summary.py's.

Measurement    a bundle on a target: device, settings, validity notes, and per artifact:
  ArtifactResult    which artifact, which runner, the comparison of its outputs with the bundle's
                    reference, and its runs
    MeasuredRun     one fresh process: raw samples in ns, stages, memory marks, the device's state
                    before and after"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from edgekit import stats
from edgekit.bundle.manifest import ArtifactAgreement
from edgekit.devices.facts import DeviceFacts
from edgekit.devices.probe import Probe
from edgekit.measure.runs import ArtifactResult, Part, unlike_runners
from edgekit.measure.settings import Settings
from edgekit.measure.summary import ArtifactSummary, summarise, summary_dict
from edgekit.metrics import MetricValue
from edgekit.stats import ClusteredShare, MedianRatio
from edgekit.stats.compare import FULL_RUNS

Level = Literal["invalid", "warning", "unknown", "note"]


class MeasurementNote(Part):
    """Something a reader of the numbers must know. `invalid` takes the numbers out of every
    judgement; `artifact` is None when all are concerned."""

    level: Level
    code: str
    text: str
    artifact: str | None = None


class Controlled(Part):
    """What the target's `control` changed while it was measured; how long runs waited for the
    device to cool, and how many waited in vain. `stuck_zones` are thermal zones, by °C, that did
    not count because they never moved."""

    governor: str | None = None
    cpus: tuple[int, ...] = ()
    cool_below_c: float | None = None
    cooled_seconds: float = 0.0
    still_hot_runs: int = 0
    stuck_zones: dict[str, float] = Field(default_factory=dict)


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
    notes: tuple[MeasurementNote, ...] = ()
    failure: str = ""
    controlled: Controlled = Controlled()
    probes: tuple[Probe, ...] = ()
    runtimes: tuple[ArtifactAgreement, ...] = ()

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
    def summaries(self) -> dict[str, ArtifactSummary]:
        """By artifact key; artifacts without a complete run are left out."""
        return {
            result.key: summarise(result, self.settings.deadline_ms)
            for result in self.artifacts
            if result.complete_runs
        }

    def unjudged(self, *keys: str) -> str:
        """Why latencies of these artifacts must not be judged; empty when they may be."""
        if self.timings == "meaningless":
            return f"timings are meaningless: {self.timings_reason}"
        for note in self.notes:
            if note.level == "invalid" and note.artifact in (None, *keys):
                return f"invalid: {note.text}"
        if unlike := unlike_runners(*map(self.result, keys)):
            return unlike
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

    def deadline_misses(self, key: str, deadline_ms: float) -> ClusteredShare | None:
        """How many inferences took longer, for a judgement: None where `unjudged` says why."""
        result = self.result(key)
        return None if result is None or self.unjudged(key) else result.deadline_misses(deadline_ms)

    def speedup(self, baseline_key: str, key: str) -> MedianRatio | None:
        """Times faster than the baseline, for a judgement: None where `unjudged` says why."""
        return None if self.unjudged(baseline_key, key) else self.latency_ratio(baseline_key, key)

    def latency_ratio(self, numerator_key: str, denominator_key: str) -> MedianRatio | None:
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
        for result, measured in zip(values["artifacts"], self.artifacts, strict=True):
            result["artifact"] = measured.key
            result["sha256"] = measured.artifact.file.sha256
            result["bytes"] = measured.artifact.file.bytes
            result["signature"] = measured.artifact.signature
            result["inputs"] = {spec.name: list(spec.shape) for spec in measured.artifact.inputs}
            result["metrics"] = metric_dicts(measured.artifact.verification.metrics)
            if measured.evaluation:
                result["evaluation"]["metrics"] = metric_dicts(measured.evaluation.metrics)
            result["run_medians_ns"] = measured.run_medians_ns
            result["others_share"] = max(
                (share for run in measured.runs if (share := run.others_share) is not None),
                default=None,
            )
            if measured.sustained:
                del result["sustained"]["windows"]
                result["sustained"] |= {
                    "burst_ns": measured.sustained.burst_ns,
                    "sustained_ns": measured.sustained.sustained_ns,
                    "curve": measured.sustained.curve,
                }
            result["summary"] = (
                summary_dict(self.summaries[measured.key])
                if measured.key in self.summaries
                else None
            )
        return {**values, "quick": self.quick, "valid": self.valid}


def metric_dicts(metrics: Sequence[MetricValue]) -> list[dict[str, Any]]:
    """Metrics as plain JSON values, without the samples' own."""
    return [metric.model_dump(mode="json", exclude={"per_sample"}) for metric in metrics]
