"""Bundles + target → measurements: deploy, measure in turn, find out more, clean up.

Owns the frame of a session: the connection, the lock, the clocks, and what is left behind on the
device. The runs themselves are interleaving.py's and extra_runs.py's. Stores nothing: see
edgekit/workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from edgekit.bundle.directory import Bundle
from edgekit.bundle.signing import require_signature
from edgekit.cancel import Cancel
from edgekit.deployment import Lock, collect_unused, hold
from edgekit.deployment.lock import LEASE_S
from edgekit.devices import Device, connect
from edgekit.devices.control import governors, restore_governors
from edgekit.devices.target import Target
from edgekit.devices.target_sections import Control
from edgekit.errors import EdgekitError, UsageError
from edgekit.measure import extra_runs
from edgekit.measure.energy import Meter, measure_energy, meter
from edgekit.measure.evaluation import (
    evaluate,
    rehearse,
    require_evaluation,
    task_of,
    whole_series,
)
from edgekit.measure.interleaving import Keep, hand_over, keep_nothing, measure_in_turn
from edgekit.measure.measurement import Measurement
from edgekit.measure.pipeline_program import StepsProgram, place_program
from edgekit.measure.pipeline_times import pipeline_times
from edgekit.measure.placement import outputs_path, place
from edgekit.measure.runner_process import Placed
from edgekit.measure.settings import LONGEST_S, Settings
from edgekit.progress import Progress, silent

ALL_SAMPLES = 1 << 24
"""As many samples as an evaluation set can hold, for `Extras.evaluation_samples`."""

LEASE_MARGIN_S = 120.0
"""What may pass between a renewal of the device's lock and the end of the run after it, beside the
run itself."""


@dataclass(frozen=True)
class Side:
    """A bundle in a session, and the keys of its artifacts that are measured, such as
    `int8.tflite`."""

    bundle: Bundle
    keys: tuple[str, ...]

    @classmethod
    def whole(cls, bundle: Bundle) -> Side:
        return cls(bundle, tuple(artifact.key for artifact in bundle.manifest.artifacts))


@dataclass(frozen=True)
class Extras:
    """What is found out of each artifact after the latency runs, in processes of its own: the time
    by operator; the curve of a run of `sustained_seconds` (at most 3600); the task's metrics on the
    first `evaluation_samples` of the bundle's evaluation set; the energy of an inference; and the
    time of a sample before and after the inference."""

    profile: bool = False
    sustained_seconds: float | None = None
    evaluation_samples: int | None = None
    energy: bool = False
    pipeline: bool = False

    @property
    def need_own_runner(self) -> bool:
        """Whether edgekit's own runner is needed, and not another program of the user's."""
        return self.profile or self.sustained_seconds is not None or bool(self.evaluation_samples)

    def check(self) -> None:
        """Raises UsageError for values out of range."""
        seconds, samples = self.sustained_seconds, self.evaluation_samples
        if seconds is not None and not 0 < seconds <= LONGEST_S:
            raise UsageError(
                f"a sustained run of {seconds:g} seconds",
                hint=f"more than 0, at most {LONGEST_S:g}",
            )
        if samples is not None and samples < 1:
            raise UsageError(f"an evaluation on {samples} samples", hint="at least 1")


NO_EXTRAS = Extras()


def bench(
    sides: Sequence[Side],
    target: Target,
    settings: Settings,
    *,
    extras: Extras = NO_EXTRAS,
    activate: bool = False,
    keep: Keep = keep_nothing,
    progress: Progress = silent,
    cancel: Cancel | None = None,
) -> tuple[Measurement, ...]:
    """Deploy bundles to a target and measure their artifacts there in turn, `settings.runs` fresh
    processes each. One measurement a side, all of the same `session`.

    With `activate` a bundle becomes the device's current one; otherwise it lies there for as long
    as the session takes. The device's lock is held from the first byte sent to the last run. `keep`
    gets every measurement; when something ends the session early, Ctrl-C and a request by `cancel`
    included, it gets what was measured until then before the error is raised.

    Raises UsageError (extras out of range or not possible), what `deploy` raises, RunnerError (no
    runtime, a crash, a hang, out of memory), ResultError (not signed as the target demands; what
    came back is not acceptable), TransportError; the message names device, artifact and run."""
    extras.check()
    for side in sides:
        _require(side.bundle, target, extras)
    with closing(connect(target, cancel)) as device, hold(device, target.workdir) as lock:
        placed = [
            place(side.bundle, side.keys, target, device, lock, progress, activate=activate)
            for side in sides
        ]
        artifacts = [each.artifact for there in placed for each in there]
        steps = (
            place_program(artifacts, target, device, lock, progress) if extras.pipeline else None
        )
        lease_s = _lease_seconds(target, extras)
        try:
            with _governed(device, lock, target.control):
                measured = measure_in_turn(
                    [(side.bundle, there) for side, there in zip(sides, placed, strict=True)],
                    target,
                    device,
                    settings,
                    before_run=lambda: lock.renew(lease_s),
                    keep=keep,
                    progress=progress,
                )
                where = extra_runs.Bench(
                    target, device, settings, measured[0].probes, lambda: lock.renew(lease_s)
                )
                measured = _with_extras(
                    measured, where, sides, placed, extras, steps, keep, progress
                )
        finally:
            with suppress(EdgekitError):
                device.run(
                    ["rm", "-f", outputs_path(lock)], timeout_s=target.timeouts.connect_seconds
                )
                if not activate:
                    collect_unused(lock)
    for measurement in measured:
        keep(measurement)
    return measured


def _require(bundle: Bundle, target: Target, extras: Extras) -> None:
    """Raises UsageError and ResultError for what cannot be measured, before a board is touched."""
    if extras.evaluation_samples is not None:
        rehearse(bundle)
    if extras.pipeline and bundle.manifest.task is not None:
        task_of(bundle)
    if extras.need_own_runner:
        _require_own_runners(bundle, target)
    _require_call(bundle, target)
    require_signature(bundle, target)


def _require_own_runners(bundle: Bundle, target: Target) -> None:
    kinds = {target.runners.kind(artifact.runtime) for artifact in bundle.manifest.artifacts}
    for kind in kinds - {"edgekit"}:
        raise UsageError(
            f"{target.name}: {kind} measures latency only",
            hint=(
                "leave out --profile, --sustained and --accuracy, or the kind in the target's"
                " runners"
            ),
        )


def _require_call(bundle: Bundle, target: Target) -> None:
    """Raises UsageError where another runner would run something else of a file."""
    for artifact in bundle.manifest.artifacts:
        kind = target.runners.kind(artifact.runtime)
        is_chosen = artifact.signature is not None or any(s.is_resized for s in artifact.inputs)
        if is_chosen and kind != "edgekit":
            raise UsageError(
                f"{target.name}: {kind} does not take a signature or a shape, and"
                f" {artifact.key} is measured with them",
                hint="leave the kind out of the target's runners",
            )


def _lease_seconds(target: Target, extras: Extras) -> float:
    """How long the lock must last from one renewal to the next; `renew` leaves at least half of
    it."""
    extra_seconds = max(
        extras.sustained_seconds or 0.0, target.power.seconds if target.power else 0.0
    )
    longest_s = target.timeouts.run_seconds + LEASE_MARGIN_S + extra_seconds
    return max(LEASE_S, 2 * longest_s)


def _governed(device: Device, lock: Lock, control: Control) -> AbstractContextManager[None]:
    """The clocks as the target wants them. What a session that died left behind is undone in any
    case."""
    restore_governors(device, lock.root)
    return governors(device, lock.root, control.governor) if control.governor else nullcontext()


def _with_extras(
    measured: Sequence[Measurement],
    where: extra_runs.Bench,
    sides: Sequence[Side],
    placed: Sequence[Sequence[Placed]],
    extras: Extras,
    steps: StepsProgram | None,
    keep: Keep,
    progress: Progress,
) -> tuple[Measurement, ...]:
    """The measurements with what further runs found out. If one fails, all are handed over as far
    as they are."""
    completed = list(measured)
    with meter(where.target, where.device) if extras.energy else nullcontext(None) as power:
        for number, (side, there) in enumerate(zip(sides, placed, strict=True)):
            passes = _passes(side.bundle, extras, steps, power, progress)
            try:
                for step in _run_passes(completed[number], where, there, passes, progress):
                    completed[number] = step
            except (EdgekitError, KeyboardInterrupt) as error:
                ended = {"failure": str(error) or "interrupted"}
                completed[number] = completed[number].model_copy(update=ended)
                for measurement in completed:
                    hand_over(keep, measurement, error)
                raise
    return tuple(completed)


def _passes(
    bundle: Bundle,
    extras: Extras,
    steps: StepsProgram | None,
    power: Meter | None,
    progress: Progress,
) -> dict[str, extra_runs.Pass]:
    """What runs once more of each artifact, by the field of ArtifactResult that it fills."""
    passes: dict[str, extra_runs.Pass] = {}
    if extras.profile:
        passes["profile"] = partial(extra_runs.profile, bundle=bundle)
    if extras.sustained_seconds is not None:
        passes["sustained"] = partial(extra_runs.sustain, seconds=extras.sustained_seconds)
    if extras.evaluation_samples is not None:
        count = whole_series(require_evaluation(bundle), extras.evaluation_samples)
        on_samples = partial(progress, "evaluation on the device", total=count)
        passes["evaluation"] = partial(
            evaluate, bundle=bundle, samples=count, on_samples=on_samples
        )
    if steps is not None:
        passes["pipeline"] = partial(pipeline_times, bundle=bundle, program=steps)
    if power is not None:
        passes["energy"] = partial(measure_energy, open_meter=power)
    return passes


def _run_passes(
    measurement: Measurement,
    where: extra_runs.Bench,
    placed: Sequence[Placed],
    passes: Mapping[str, extra_runs.Pass],
    progress: Progress,
) -> Iterator[Measurement]:
    """The measurement after each further run."""
    results = {result.key: result for result in measurement.artifacts}
    turns = [(name, run, artifact) for name, run in passes.items() for artifact in placed]
    for number, (field_name, run_pass, artifact) in enumerate(turns):
        key = artifact.artifact.key
        progress("further runs", number, len(turns), f"{key}, {field_name}")
        results[key] = results[key].model_copy(update={field_name: run_pass(where, artifact)})
        yield measurement.model_copy(update={"artifacts": tuple(results.values())})
    if turns:
        progress("further runs", len(turns), len(turns))
