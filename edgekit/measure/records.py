"""What is gathered while artifacts are measured, and the measurement that it becomes.

Owns no runs: interleaving.py starts them and hands in what came of each."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import ArtifactAgreement
from edgekit.devices.control import CoolDown
from edgekit.devices.facts import CpuTime, DeviceFacts, DeviceState
from edgekit.devices.probe import Probe
from edgekit.devices.target import Target
from edgekit.devices.target_sections import Control
from edgekit.errors import UsageError
from edgekit.measure.evaluation import task_of
from edgekit.measure.measurement import Controlled, Measurement
from edgekit.measure.protocol import RunnerRun
from edgekit.measure.runner_process import Placed
from edgekit.measure.runs import ArtifactResult, MeasuredRun, OutputCheck
from edgekit.measure.settings import Settings
from edgekit.measure.validity import artifact_notes, run_notes, session_notes
from edgekit.stats import Fidelity
from edgekit.tasks.comparing import compared_outputs
from edgekit.tasks.task import Task
from edgekit.version import __version__

SNR_MIN_DB = 20.0
COSINE_MIN = 0.99


def utc_now() -> str:
    """The time as measurements hold it: ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass
class DeviceRecord:
    """What is known of the device in one session; all bundles of the session share it."""

    facts: DeviceFacts
    states: list[DeviceState]
    probes: tuple[Probe, ...]
    waits: list[CoolDown] = field(default_factory=list)
    session_id: str = field(default_factory=lambda: secrets.token_hex(16))
    created: str = field(default_factory=utc_now)
    began: float = field(default_factory=time.monotonic)


@dataclass
class BundleRecord:
    """What is gathered of one bundle, by artifact key.

    `answers` are the outputs of the reference samples in the newest run, by name, each of shape
    (samples, …)."""

    bundle: Bundle
    placed: Sequence[Placed]
    runs: dict[str, list[MeasuredRun]] = field(default_factory=dict)
    reports: dict[str, RunnerRun] = field(default_factory=dict)
    outputs: dict[str, list[tuple[Fidelity, ...]]] = field(default_factory=dict)
    answers: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)

    def add_run(self, placed: Placed, run: MeasuredRun) -> None:
        self.runs.setdefault(placed.artifact.key, []).append(run)

    def complete_run(self, placed: Placed, run: MeasuredRun) -> None:
        """Replace the newest run of an artifact by the same one with the state after it."""
        self.runs[placed.artifact.key][-1] = run

    def add_outputs(
        self, placed: Placed, compared: tuple[Fidelity, ...], values: Sequence[NDArray[np.float64]]
    ) -> None:
        """How each output compares with the reference, and the outputs themselves."""
        self.outputs.setdefault(placed.artifact.key, []).append(compared)
        self.answers[placed.artifact.key] = {
            spec.name: output.reshape(len(output), *spec.shape[1:])
            for spec, output in zip(placed.artifact.outputs, values, strict=True)
        }

    def result(self, placed: Placed) -> ArtifactResult:
        key, specs = placed.artifact.key, placed.artifact.outputs
        report, compared = self.reports.get(key), self.outputs.get(key, [])
        by_output = zip(*compared, strict=True)
        return ArtifactResult(
            artifact=placed.artifact,
            runner=report.hello if report else None,
            arena_bytes=report.load.arena_bytes if report and report.load else None,
            outputs=tuple(
                OutputCheck.worst(spec.name, list(over_runs))
                for spec, over_runs in zip(specs, by_output, strict=False)
            ),
            runs=tuple(self.runs.get(key, ())),
            runner_kind=placed.runner_kind,
            python_because=placed.python_because,
        )


def run_of(
    index: int, started: str, report: RunnerRun, before: DeviceState, after: DeviceState | None
) -> MeasuredRun:
    """One process as a value. Without the state after it, it is not complete."""
    ticks_are_whole = len(report.ticks) >= 4 and min(report.ticks) >= 0
    return MeasuredRun(
        index=index,
        started=started,
        complete=report.complete and after is not None,
        start_ns=report.load.start_ns if report.load else None,
        load_ns=report.load.ns if report.load else None,
        first_ns=report.first_ns,
        warmup_ns=report.warmup_ns,
        steady_ns=report.steady_ns,
        overhead_ns_per_iteration=report.overhead_ns_per_iteration,
        memory=report.memory,
        before=before,
        after=after,
        cpu_ns=report.cpu_ns,
        device_cpu=CpuTime.of_ticks(report.ticks) if ticks_are_whole else None,
        windows=report.windows,
    )


def measurements_of(
    records: Sequence[BundleRecord],
    device: DeviceRecord,
    target: Target,
    settings: Settings,
    *,
    failure: str = "",
) -> tuple[Measurement, ...]:
    """The measurement of each bundle. `failure` is what ended the session early."""
    measurements = []
    for record in records:
        same_bundle = [
            other for other in records if other.bundle.manifest.id == record.bundle.manifest.id
        ]
        runtimes = _runtimes_compared(record.bundle, same_bundle)
        measurements.append(_measurement(record, device, target, settings, runtimes, failure))
    return tuple(measurements)


def _measurement(
    record: BundleRecord,
    device: DeviceRecord,
    target: Target,
    settings: Settings,
    runtimes: tuple[ArtifactAgreement, ...],
    failure: str,
) -> Measurement:
    manifest = record.bundle.manifest
    results = tuple(record.result(placed) for placed in record.placed)
    controlled = _controlled(device, target.control)
    notes = session_notes(device.facts, device.states, target.timings_reason)
    runs = [run for result in results for run in result.runs]
    notes += run_notes(runs, device.probes, controlled)
    for result in results:
        notes += artifact_notes(result, snr_min_db=SNR_MIN_DB, cosine_min=COSINE_MIN)
    return Measurement(
        id=secrets.token_hex(16),
        session=device.session_id,
        created=device.created,
        seconds=time.monotonic() - device.began,
        edgekit_version=__version__,
        bundle_id=manifest.id,
        bundle_name=manifest.name,
        recipe_sha256=manifest.recipe_sha256,
        target=target.name,
        target_kind=target.kind,
        timings=target.timings,
        timings_reason=target.timings_reason,
        device=device.facts,
        settings=settings,
        artifacts=results,
        notes=tuple(notes),
        failure=failure,
        controlled=controlled,
        probes=device.probes,
        runtimes=runtimes,
    )


def _controlled(device: DeviceRecord, control: Control) -> Controlled:
    return Controlled(
        governor=control.governor,
        cpus=control.cpus,
        cool_below_c=control.cool_down.below_c if control.cool_down else None,
        cooled_seconds=sum(wait.seconds for wait in device.waits),
        still_hot_runs=sum(not wait.reached for wait in device.waits),
        stuck_zones=dict(device.waits[-1].stuck_zones) if device.waits else {},
    )


def _runtimes_compared(
    bundle: Bundle, records: Iterable[BundleRecord]
) -> tuple[ArtifactAgreement, ...]:
    """The artifacts of each variant of a bundle that run in different runtimes against each other,
    as the device computed them in this session."""
    answers = {key: values for record in records for key, values in record.answers.items()}
    measured = [artifact for artifact in bundle.manifest.artifacts if artifact.key in answers]
    pairs = [
        (a.key, b.key)
        for a, b in itertools.combinations(measured, 2)
        if a.variant == b.variant and a.runtime != b.runtime
    ]
    task = _task(bundle) if pairs else None
    compared = []
    for a, b in pairs:
        first, second = answers[a], _named_alike(answers[b], answers[a])
        if second is not None:
            compared.append(compared_outputs(task, a, first, b, second))
    return tuple(compared)


def _named_alike(
    outputs: Mapping[str, NDArray[np.float64]], others: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]] | None:
    """Outputs in the order and by the names of others; None where they are not the same. A single
    one needs no name: bundles of format 1 have the runtimes' own."""
    if len(outputs) == len(others) == 1:
        alike = dict(zip(others, outputs.values(), strict=True))
    elif set(outputs) == set(others):
        alike = {name: outputs[name] for name in others}
    else:
        return None
    same_shapes = all(values.shape == others[name].shape for name, values in alike.items())
    return alike if same_shapes else None


def _task(bundle: Bundle) -> Task | None:
    """None where this machine does not have the task: outputs are compared all the same."""
    try:
        return task_of(bundle)
    except UsageError:
        return None
