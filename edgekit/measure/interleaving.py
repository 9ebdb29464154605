"""Artifacts that are on a device already → measurements: fresh processes in turn, their outputs
compared, the device's state between them.

Artifacts are interleaved over runs (A B C A B C …), each run a fresh process with a nonce of its
own, so that a device that warms up or a neighbour that starts working meets all artifacts alike.
With several bundles, the same artifact of each runs one after the other, and who begins changes
from round to round."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Bundle, Comparison
from edgekit.devices import Device
from edgekit.devices.control import CoolDown, cool_down
from edgekit.devices.fact_scripts import collect_both, collect_state
from edgekit.devices.facts import CpuTime, DeviceFacts, DeviceState
from edgekit.devices.probe import Probe
from edgekit.devices.target import Target
from edgekit.devices.target_sections import Control
from edgekit.errors import EdgekitError, RunnerError, UsageError
from edgekit.measure import other_runners
from edgekit.measure.evaluation import task_of
from edgekit.measure.measurement import (
    ArtifactResult,
    Controlled,
    Measurement,
    OutputCheck,
    Run,
    Settings,
)
from edgekit.measure.probes import device_probes
from edgekit.measure.protocol import RunnerRun
from edgekit.measure.runner_process import Placed, attempt, read_outputs, watching
from edgekit.measure.validity import artifact_notes, run_notes, session_notes
from edgekit.progress import Progress, silent
from edgekit.stats import Fidelity
from edgekit.tasks.comparing import compared_outputs
from edgekit.tasks.task import Task
from edgekit.version import __version__

SNR_MIN_DB = 20.0
COSINE_MIN = 0.99
PROBE_EVERY_S = 0.5
"""How often a runner reads clocks and temperatures between inferences."""

Partial = Callable[[Measurement], object]
"""Receives what was measured before a session ended early."""


@dataclass
class _Session:
    """What is gathered of one bundle while artifacts are measured. What is of the device is shared
    by all bundles of a session."""

    id: str
    facts: DeviceFacts
    states: list[DeviceState]
    probes: tuple[Probe, ...]
    waits: list[CoolDown]
    created: str = field(default_factory=lambda: _now())
    began: float = field(default_factory=time.monotonic)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    said: dict[str, RunnerRun] = field(default_factory=dict)
    outputs: dict[str, list[tuple[Fidelity, ...]]] = field(default_factory=dict)
    answers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """The first output (samples, elements) of the reference samples in the newest run, by artifact
    key."""

    def result(self, placed: Placed) -> ArtifactResult:
        key, specs = placed.artifact.key, placed.artifact.outputs
        said, compared = self.said.get(key), self.outputs.get(key, [])
        return ArtifactResult(
            artifact=placed.artifact,
            runner=said.hello if said else None,
            arena_bytes=said.load.arena_bytes if said and said.load else None,
            outputs=tuple(
                OutputCheck.worst(spec.name, list(found))
                for spec, found in zip(specs, zip(*compared, strict=True), strict=False)
            ),
            runs=tuple(self.runs.get(key, ())),
            runner_kind=placed.runner_kind,
        )


def measure(
    bundle: Bundle,
    target: Target,
    device: Device,
    placed: Sequence[Placed],
    settings: Settings,
    *,
    before_run: Callable[[], None] = lambda: None,
    progress: Progress = silent,
    on_partial: Partial | None = None,
) -> Measurement:
    """Measure artifacts of one bundle that are on a device already. See `bench`."""
    more: dict[str, Any] = {
        "before_run": before_run,
        "progress": progress,
        "on_partial": on_partial,
    }
    [measured] = measure_together([(bundle, placed)], target, device, settings, **more)
    return measured


def measure_together(
    sides: Sequence[tuple[Bundle, Sequence[Placed]]],
    target: Target,
    device: Device,
    settings: Settings,
    *,
    before_run: Callable[[], None] = lambda: None,
    progress: Progress = silent,
    on_partial: Partial | None = None,
) -> tuple[Measurement, ...]:
    """Measure artifacts of one or several bundles that are on a device already, in turn. See
    `bench_together`."""
    facts, state = collect_both(device)
    states, waits, identity = [state], list[CoolDown](), secrets.token_hex(16)
    sessions = [_Session(identity, facts, states, device_probes(state), waits) for _ in sides]
    rows = list(
        zip_longest(
            *(
                [(session, bundle, one) for one in placed]
                for session, (bundle, placed) in zip(sessions, sides, strict=True)
            )
        )
    )
    task, done, total = (
        f"measure on {target.name}",
        0,
        settings.runs * sum(len(placed) for _, placed in sides),
    )

    def finished(failure: str = "") -> tuple[Measurement, ...]:
        found = []
        for session, (bundle, placed) in zip(sessions, sides, strict=True):
            own = [
                other
                for other, (whose, _) in zip(sessions, sides, strict=True)
                if whose.manifest.id == bundle.manifest.id
            ]
            found.append(
                _finished(
                    session,
                    bundle,
                    target,
                    placed,
                    settings,
                    _runtimes_compared(bundle, own),
                    failure=failure,
                )
            )
        return tuple(found)

    try:
        for index in range(settings.runs):
            for session, bundle, one in (
                turn for row in rows for turn in (row if index % 2 == 0 else row[::-1]) if turn
            ):
                whose = f" of {bundle.manifest.id[:12]}" if len(sides) > 1 else ""
                name = f"{one.artifact.key}{whose}, run {index + 1} of {settings.runs}"
                progress(task, done, total, name)
                before_run()
                _run_once(session, bundle, target, device, one, settings, index, name)
                done += 1
    except (EdgekitError, KeyboardInterrupt) as error:
        for found in finished(str(error) or "interrupted"):
            hand_over(on_partial, found, error)
        raise
    progress(task, total, total)
    return finished()


def hand_over(on_partial: Partial | None, found: Measurement, error: BaseException) -> None:
    """Let the caller keep a partial measurement. That it cannot must not hide why the session
    ended."""
    try:
        if on_partial:
            on_partial(found)
    except EdgekitError as lost:
        if not isinstance(error, EdgekitError):
            raise
        error.hint = "; ".join(
            filter(None, (error.hint, f"the partial measurement was not stored: {lost.message}"))
        )


def _run_once(
    session: _Session,
    bundle: Bundle,
    target: Target,
    device: Device,
    placed: Placed,
    settings: Settings,
    index: int,
    name: str,
) -> None:
    """One process, its outputs, and the device's state after it. Whatever goes wrong is raised with
    the device and the run in its message."""
    key, timeouts = placed.artifact.key, target.timeouts
    try:
        before, started = _cool(session, target, device), _now()
        watch = watching(session.probes, target.control.cpus, every_s=PROBE_EVERY_S)
        if placed.runner_kind != "edgekit":
            made = other_runners.attempt(
                device, placed.runner_kind, placed, settings, before, timeout_s=timeouts.run_seconds
            )
        else:
            made = attempt(
                *(device, placed, settings, before),
                timeout_s=timeouts.run_seconds,
                no_progress_s=timeouts.no_progress_seconds,
                more=watch,
            )
        session.runs.setdefault(key, []).append(_run(index, started, made.run, before, None))
        if made.error:
            raise made.error
        session.said[key] = made.run
        if placed.runner_kind == "edgekit" and placed.artifact.reference_outputs is not None:
            reference = bundle.file(placed.artifact.reference_outputs).read_bytes()
            compared, (session.answers[key], *_) = read_outputs(device, placed, made.run, reference)
            session.outputs.setdefault(key, []).append(compared)
        after = collect_state(device)
        if before.boot_id != after.boot_id:
            raise RunnerError(
                "the device rebooted during the run", hint="check its power supply and temperature"
            )
    except EdgekitError as error:
        raise type(error)(
            f"{device.name}: {name}: {error.message}", hint=error.hint, details=error.details
        ) from error
    session.states.append(after)
    session.runs[key][-1] = _run(index, started, made.run, before, after)


def _cool(session: _Session, target: Target, device: Device) -> DeviceState:
    """The device's state before a run, after a wait for it to cool where the target asks for
    one."""
    if target.control.cool_down is None:
        return session.states[-1]
    waited, state = cool_down(
        device,
        session.states[-1],
        target.control.cool_down.below_c,
        target.control.cool_down.timeout_seconds,
    )
    session.waits.append(waited)
    return state


def _controlled(session: _Session, control: Control) -> Controlled:
    return Controlled(
        governor=control.governor,
        cpus=control.cpus,
        cool_below_c=control.cool_down.below_c if control.cool_down else None,
        cooled_seconds=sum(wait.seconds for wait in session.waits),
        still_hot_runs=sum(not wait.reached for wait in session.waits),
    )


def _run(
    index: int, started: str, said: RunnerRun, before: DeviceState, after: DeviceState | None
) -> Run:
    return Run(
        index=index,
        started=started,
        complete=said.complete and after is not None,
        start_ns=said.load.start_ns if said.load else None,
        load_ns=said.load.ns if said.load else None,
        first_ns=said.first_ns,
        warmup_ns=said.warmup_ns,
        steady_ns=said.steady_ns,
        overhead_ns_per_iteration=said.overhead_ns_per_iteration,
        memory=said.memory,
        before=before,
        after=after,
        cpu_ns=said.cpu_ns,
        device_cpu=(
            CpuTime.of_ticks(said.ticks) if len(said.ticks) >= 4 and min(said.ticks) >= 0 else None
        ),
        windows=said.windows,
    )


def _runtimes_compared(bundle: Bundle, sessions: Sequence[_Session]) -> tuple[Comparison, ...]:
    """The `.pte` and the `.tflite` of each variant of a bundle against each other, as the device
    computed them in this session."""
    answers = {key: values for session in sessions for key, values in session.answers.items()}
    shapes = {a.key: a.outputs[0].shape[1:] for a in bundle.manifest.artifacts}
    pairs = [(key, key.removesuffix(".pte") + ".tflite") for key in answers if key.endswith(".pte")]
    task = _task(bundle) if pairs else None
    named = {
        key: {"output": values.reshape(len(values), *shapes[key])}
        for key, values in answers.items()
    }
    return tuple(
        compared_outputs(task, a, named[a], b, named[b])
        for a, b in pairs
        if b in answers and answers[a].shape == answers[b].shape
    )


def _task(bundle: Bundle) -> Task | None:
    """None where this machine does not have the task: outputs are compared all the same."""
    try:
        return task_of(bundle)
    except UsageError:
        return None


def _finished(
    session: _Session,
    bundle: Bundle,
    target: Target,
    placed: Sequence[Placed],
    settings: Settings,
    runtimes: tuple[Comparison, ...],
    *,
    failure: str = "",
) -> Measurement:
    results = tuple(session.result(one) for one in placed)
    controlled = _controlled(session, target.control)
    notes = session_notes(session.facts, session.states, target.timings_reason)
    notes += run_notes(
        [run for result in results for run in result.runs], session.probes, controlled
    )
    for result in results:
        notes += artifact_notes(result, snr_min_db=SNR_MIN_DB, cosine_min=COSINE_MIN)
    return Measurement(
        id=secrets.token_hex(16),
        session=session.id,
        created=session.created,
        seconds=time.monotonic() - session.began,
        edgekit_version=__version__,
        bundle_id=bundle.manifest.id,
        bundle_name=bundle.manifest.name,
        recipe_sha256=bundle.manifest.recipe_sha256,
        target=target.name,
        target_kind=target.kind,
        timings=target.timings,
        timings_reason=target.timings_reason,
        device=session.facts,
        settings=settings,
        artifacts=results,
        notes=tuple(notes),
        failure=failure,
        controlled=controlled,
        probes=session.probes,
        runtimes=runtimes,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
