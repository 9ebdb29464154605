"""Does a measurement count? Pure functions from runs and device states to notes. Changes no number,
drops no run.

A probe that is absent gives `unknown`, which is not `ok`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from edgekit import stats
from edgekit.bundle.manifest import Artifact
from edgekit.data.source import times
from edgekit.devices.facts import DeviceFacts, DeviceState
from edgekit.devices.probe import Probe
from edgekit.measure.measurement import Controlled, MeasurementNote
from edgekit.measure.probes import extremes
from edgekit.measure.runs import ArtifactResult, MeasuredRun, OutputCheck
from edgekit.measure.summary import summarise
from edgekit.measure.throttling import can_tell_throttling, other_cooling, throttling
from edgekit.stats.compare import FULL_RUNS

BUSY_LOAD_PER_CPU = 0.5
P99_SAMPLES = 1024
P99_SECONDS = 60.0
MEMORY_PRESSURE_PERCENT = 1.0
OVERHEAD_FRACTION = 0.01
OTHERS_SHARE = 0.05
STOLEN_SHARE = 0.01
CLOCK_FRACTION = 0.95


def session_notes(
    facts: DeviceFacts, states: Sequence[DeviceState], timings_reason: str = ""
) -> list[MeasurementNote]:
    """What is wrong with a session as a whole; `states` in the order of time, the first from before
    the first run."""
    notes = []
    if timings_reason:
        notes.append(
            MeasurementNote(
                level="warning",
                code="timings_meaningless",
                text=f"latencies mean nothing here: {timings_reason}",
            )
        )
    reasons = list(
        dict.fromkeys(
            reason for before, after in pairwise(states) if (reason := throttling(before, after))
        )
    )
    notes += [
        MeasurementNote(level="invalid", code="throttled", text=f"the device throttled: {reason}")
        for reason in reasons
    ]
    if not reasons and states and not can_tell_throttling(states[0]):
        notes.append(
            MeasurementNote(
                level="unknown",
                code="throttling",
                text="whether the device throttled is unknown: it offers no probe",
            )
        )
    if states:
        notes += _before_the_first_run(facts, states[0])
    notes += _notes_about_sensors(states)
    pressure = max(
        (s.memory_pressure_percent for s in states[1:] if s.memory_pressure_percent is not None),
        default=0.0,
    )
    if pressure > MEMORY_PRESSURE_PERCENT:
        notes.append(
            MeasurementNote(
                level="warning",
                code="memory_pressure",
                text=f"tasks waited for memory {pressure:.1f} % of the time",
            )
        )
    return notes


def run_notes(
    runs: Sequence[MeasuredRun], probes: Sequence[Probe], controlled: Controlled
) -> list[MeasurementNote]:
    """What went on while the artifacts ran: other programs, clocks, heat."""
    notes = []
    shares = [share for run in runs if (share := run.others_share) is not None]
    if shares and max(shares) > OTHERS_SHARE:
        text = (
            f"other programs had {100 * median(shares):.0f} % of the device's processor time (at"
            f" most {100 * max(shares):.0f} % in a run)"
        )
        notes.append(MeasurementNote(level="warning", code="other_programs", text=text))
    stolen = [
        run.device_cpu.stolen_s / run.device_cpu.total_s
        for run in runs
        if run.device_cpu and run.device_cpu.total_s
    ]
    if stolen and max(stolen) > STOLEN_SHARE:
        notes.append(
            MeasurementNote(
                level="warning",
                code="stolen",
                text=(
                    f"the host of this virtual machine took up to {100 * max(stolen):.0f} % of"
                    " a run"
                ),
            )
        )
    for name, (low, high) in extremes(
        probes, [window for run in runs for window in run.windows], "frequency_khz"
    ).items():
        if low < CLOCK_FRACTION * high:
            text = f"the clock of {name} ran between {low / 1e3:.0f} and {high / 1e3:.0f} MHz"
            notes.append(MeasurementNote(level="warning", code="clock", text=text))
    if controlled.still_hot_runs:
        text = (
            f"{controlled.still_hot_runs} runs started before the device was below"
            f" {controlled.cool_below_c:g} °C"
        )
        notes.append(MeasurementNote(level="warning", code="hot", text=text))
    for zone, celsius in controlled.stuck_zones.items():
        text = f"the thermal zone {zone} did not count: it read {celsius:g} °C all the time"
        notes.append(MeasurementNote(level="note", code="stuck_zone", text=text))
    return notes


def artifact_notes(
    result: ArtifactResult, *, snr_min_db: float, cosine_min: float
) -> list[MeasurementNote]:
    """What is wrong with the numbers of one artifact."""
    runs, key = result.complete_runs, result.key

    def note(level: str, code: str, text: str) -> MeasurementNote:
        return MeasurementNote.model_validate(
            {"level": level, "code": code, "text": f"{key}: {text}", "artifact": key}
        )

    notes = [note("note", "call", text) for text in [_call(result.artifact)] if text]
    if result.runner_kind != "edgekit":
        text = (
            f"measured by {result.runner_kind}, which reports means and compares no outputs: to"
            " look at, not to judge by"
        )
        notes.append(note("invalid", "runner_kind", text))
    if result.python_because:
        text = f"run by edgekit's runner in Python, not by the native one: {result.python_because}"
        notes.append(note("note", "python_runner", text))
    notes += [note("warning", "threads", text) for text in [_too_many_threads(result)] if text]
    if len(runs) < len(result.runs):
        notes.append(
            note(
                "invalid",
                "incomplete",
                f"{len(result.runs) - len(runs)} of {len(result.runs)} runs did not finish",
            )
        )
    notes += [
        note("invalid", "outputs", text)
        for check in result.outputs
        if (text := mismatch(check, snr_min_db, cosine_min))
    ]
    if result.artifact.reference_outputs is None:
        notes.append(
            note(
                "unknown",
                "parity",
                "parity is not available: edgekit did not export the model, so there is nothing to"
                " compare its outputs with",
            )
        )
    if len(runs) < FULL_RUNS:
        notes.append(
            note(
                "warning", "quick", f"quick: {len(runs)} runs, {FULL_RUNS} make a full measurement"
            )
        )
    if not runs:
        return notes
    if reason := stats.unstable(result.run_medians_ns):
        notes.append(note("warning", "unstable", f"unstable: {reason}"))
    notes += [note("warning", "not_steady", text) for text in [_unsteady(result)] if text]
    summary = summarise(result)
    if (
        summary.overhead_ns is not None
        and summary.overhead_ns > OVERHEAD_FRACTION * summary.p50.value
    ):
        share = (
            f"{summary.overhead_ns:.0f} ns,"
            f" {100 * summary.overhead_ns / summary.p50.value:.0f} % of the median"
        )
        notes.append(note("warning", "overhead", f"the runner's own timing takes {share}"))
    if summary.p99 and (summary.samples < P99_SAMPLES or summary.counted_seconds < P99_SECONDS):
        notes.append(
            note(
                "note",
                "short_p99",
                f"p99 is provisional: {P99_SAMPLES} samples in {P99_SECONDS:.0f} s make a full one",
            )
        )
    return notes


def _too_many_threads(result: ArtifactResult) -> str:
    """More threads than the processors that the runner may use, which the device or the target's
    `cpus` decide. Without a list of them it is not known."""
    runner = result.runner
    if runner is None or not 0 < len(runner.cpus) < runner.threads:
        return ""
    return f"{runner.threads} threads on {len(runner.cpus)} cores wait for each other"


def _call(artifact: Artifact) -> str:
    """What was run of a file that can be called in several ways."""
    shapes = [f"{spec.name} {times(spec.shape)}" for spec in artifact.inputs if spec.dynamic]
    parts = [f"signature {artifact.signature}"] if artifact.signature else []
    return ", ".join([*parts, *([f"with {' and '.join(shapes)}"] if shapes else [])])


def mismatch(check: OutputCheck, snr_min_db: float, cosine_min: float) -> str:
    """Why an output is not that of the artifact on the build host, or an empty string."""
    if not check.finite:
        return f"output {check.name} holds NaN or infinity"
    if (check.snr_db is not None and check.snr_db < snr_min_db) or check.cosine < cosine_min:
        decibels = (
            "" if check.snr_db is None else f"SNR {check.snr_db:.1f} dB (at least {snr_min_db:g}), "
        )
        return (
            f"output {check.name} differs from the reference: {decibels}cosine {check.cosine:.4f}"
            f" (at least {cosine_min:g})"
        )
    return ""


def _before_the_first_run(facts: DeviceFacts, state: DeviceState) -> list[MeasurementNote]:
    notes = []
    if state.load_1min is None or facts.cpus is None:
        notes.append(
            MeasurementNote(level="unknown", code="load", text="how busy the device was is unknown")
        )
    elif state.load_1min > BUSY_LOAD_PER_CPU * facts.cpus:
        text = (
            f"the device was busy before the first run: load {state.load_1min:.1f} on {facts.cpus}"
            " cores"
        )
        notes.append(MeasurementNote(level="warning", code="busy", text=text))
    governors = sorted({clock.governor for clock in state.clocks if clock.governor})
    if not governors:
        notes.append(
            MeasurementNote(
                level="unknown", code="governor", text="the CPU's frequency governor is unknown"
            )
        )
    elif governors != ["performance"]:
        notes.append(
            MeasurementNote(
                level="note",
                code="governor",
                text=f"the CPU's frequency is governed by {', '.join(governors)}",
            )
        )
    return notes


def _notes_about_sensors(states: Sequence[DeviceState]) -> list[MeasurementNote]:
    """What a reader of temperatures and cooling should know, and what judges nothing."""
    names = [name for before, after in pairwise(states) for name in other_cooling(before, after)]
    notes = [
        MeasurementNote(
            level="note",
            code="cooling",
            text=f"{name} was used for cooling: it is not the processor's",
        )
        for name in dict.fromkeys(names)
    ]
    whole = dict.fromkeys(zone for state in states for zone in state.whole_degree_zones)
    if whole:
        text = f"temperatures of {', '.join(whole)} are in whole degrees, as the device reports"
        notes.append(MeasurementNote(level="note", code="whole_degrees", text=text))
    return notes


def _unsteady(result: ArtifactResult) -> str:
    """The runs whose level changed, with the largest change."""
    runs = result.complete_runs
    unsteady = [s for run in runs if (s := stats.steadiness(run.steady_ns)) and not s.steady]
    if not unsteady:
        return ""
    worst = max(unsteady, key=lambda s: abs(s.after / s.before - 1))
    return (
        f"no steady state in {len(unsteady)} of {len(runs)} runs: the median moved by up to"
        f" {100 * (worst.after / worst.before - 1):+.0f} %"
    )
