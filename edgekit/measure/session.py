"""Bundle + target → measurement: deploy, measure, find out more, clean up. Owns the frame of a
session; the runs are measuring.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from edgekit.bundle.manifest import Bundle
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
from edgekit.measure.evaluation import evaluate, require_evaluation, task_of
from edgekit.measure.interleaving import Partial, hand_over, measure_together
from edgekit.measure.measurement import Measurement, Settings
from edgekit.measure.placement import outputs_path, place
from edgekit.measure.runner_process import Placed
from edgekit.progress import Progress, silent

LEASE_MARGIN_S = 120.0
"""What may pass between a renewal of the device's lock and the end of the run after it, beside the
run itself."""


@dataclass(frozen=True)
class Side:
    """A bundle in a session, and the keys of its artifacts that are measured, such as
    `int8.tflite`."""

    bundle: Bundle
    keys: tuple[str, ...]


@dataclass(frozen=True)
class _Further:
    """What is found out after the latency runs; see `bench`."""

    profile: bool = False
    sustained_seconds: float | None = None
    evaluation_samples: int | None = None
    energy: bool = False

    @property
    def own_runners_only(self) -> bool:
        return (
            self.profile
            or self.sustained_seconds is not None
            or self.evaluation_samples is not None
        )

    def passes(
        self, bundle: Bundle, power: Meter | None, progress: Progress
    ) -> dict[str, extra_runs.Pass]:
        """By the field of ArtifactResult that each fills."""
        wanted: dict[str, extra_runs.Pass] = {"profile": extra_runs.profile} if self.profile else {}
        if self.sustained_seconds is not None:
            wanted["sustained"] = partial(extra_runs.sustain, seconds=self.sustained_seconds)
        if self.evaluation_samples is not None:
            count = min(self.evaluation_samples, require_evaluation(bundle).samples)
            told = partial(progress, "evaluation on the device", total=count)
            wanted["evaluation"] = partial(evaluate, bundle=bundle, samples=count, told=told)
        if power is not None:
            wanted["energy"] = partial(measure_energy, open_meter=power)
        return wanted


def bench(
    bundle: Bundle,
    target: Target,
    *,
    runs: int = 10,
    warmup_min_seconds: float = 0.2,
    min_iterations: int = 64,
    min_seconds: float = 0.5,
    max_seconds: float = 60.0,
    threads: int = 1,
    profile: bool = False,
    sustained_seconds: float | None = None,
    accuracy_samples: int | None = None,
    energy: bool = False,
    progress: Progress = silent,
    on_partial: Partial | None = None,
    cancel: Cancel | None = None,
) -> Measurement:
    """Deploy a bundle to a target and measure every artifact of it there, `runs` fresh processes
    each, in turn.

    The settings are those of edgekit.recipe.limits.Bench. After the measurement each artifact runs
    once more in a process of its own for `profile` (time by operator), in one of
    `sustained_seconds` (at most 3600) for the curve of a long run, in as many as it takes for
    the task's metrics on the first `accuracy_samples` of the bundle's evaluation set, and in one for `energy`
    by the target's power sensor. The device's lock is held from the first byte sent to the last
    run. Whatever ends the session early, Ctrl-C and a request by `cancel` included, `on_partial`
    gets what was measured until then before the error is raised.

    Raises UsageError (settings out of range), what `deploy` raises, RunnerError (no runtime, a
    crash, a hang, out of memory), ResultError (not signed as the target demands; what came back is
    not acceptable), TransportError; the message names device, artifact and run."""
    settings = _settings(
        runs=runs,
        warmup_min_seconds=warmup_min_seconds,
        min_iterations=min_iterations,
        min_seconds=min_seconds,
        max_seconds=max_seconds,
        threads=threads,
    )
    side = Side(bundle, tuple(artifact.key for artifact in bundle.manifest.artifacts))
    further = _Further(profile, sustained_seconds, accuracy_samples, energy)
    [measured] = _session(
        (side,),
        target,
        settings,
        further,
        activate=True,
        progress=progress,
        on_partial=on_partial,
        cancel=cancel,
    )
    return measured


def bench_together(
    sides: Sequence[Side],
    target: Target,
    *,
    runs: int = 10,
    warmup_min_seconds: float = 0.2,
    min_iterations: int = 64,
    min_seconds: float = 0.5,
    max_seconds: float = 60.0,
    threads: int = 1,
    accuracy_samples: int | None = None,
    progress: Progress = silent,
    on_partial: Partial | None = None,
    cancel: Cancel | None = None,
) -> tuple[Measurement, ...]:
    """Measure artifacts of several bundles in one session, in turn, run by run; which bundle begins
    changes from round to round.

    One measurement a side, of the same `session`. The bundles lie on the device for as long as it
    takes, and none becomes its current one. Otherwise as `bench`, whose settings these are; raises
    what it raises."""
    settings = _settings(
        runs=runs,
        warmup_min_seconds=warmup_min_seconds,
        min_iterations=min_iterations,
        min_seconds=min_seconds,
        max_seconds=max_seconds,
        threads=threads,
    )
    further = _Further(evaluation_samples=accuracy_samples)
    return _session(
        sides,
        target,
        settings,
        further,
        activate=False,
        progress=progress,
        on_partial=on_partial,
        cancel=cancel,
    )


def _session(
    sides: Sequence[Side],
    target: Target,
    settings: Settings,
    further: _Further,
    *,
    activate: bool,
    progress: Progress,
    on_partial: Partial | None,
    cancel: Cancel | None,
) -> tuple[Measurement, ...]:
    for side in sides:
        if further.evaluation_samples is not None:
            require_evaluation(side.bundle)
            task_of(side.bundle)
        if further.own_runners_only:
            _require_own_runners(side.bundle, target)
        require_signature(side.bundle, target)
    with closing(connect(target, cancel)) as device, hold(device, target.workdir) as lock:
        placed = [
            place(side.bundle, side.keys, target, device, lock, progress, activate=activate)
            for side in sides
        ]
        longest_s = target.timeouts.run_seconds + LEASE_MARGIN_S
        longest_s += max(
            further.sustained_seconds or 0.0, target.power.seconds if target.power else 0.0
        )
        lease_s = max(LEASE_S, 2 * longest_s)  # `renew` leaves at least half of it
        try:
            with _governed(device, lock, target.control):
                measured = measure_together(
                    [(side.bundle, there) for side, there in zip(sides, placed, strict=True)],
                    *(target, device, settings),
                    before_run=lambda: lock.renew(lease_s),
                    progress=progress,
                    on_partial=on_partial,
                )
                where = extra_runs.Bench(
                    target, device, settings, measured[0].probes, lambda: lock.renew(lease_s)
                )
                with meter(target, device) if further.energy else nullcontext(None) as power:
                    return tuple(
                        _observed(
                            found,
                            where,
                            there,
                            further.passes(side.bundle, power, progress),
                            progress,
                            on_partial,
                        )
                        for side, there, found in zip(sides, placed, measured, strict=True)
                    )
        finally:
            with suppress(EdgekitError):
                device.run(
                    ["rm", "-f", outputs_path(lock)], timeout_s=target.timeouts.connect_seconds
                )
                if not activate:
                    collect_unused(lock)


def _require_own_runners(bundle: Bundle, target: Target) -> None:
    for kind in {target.runners.kind(artifact.format) for artifact in bundle.manifest.artifacts} - {
        "edgekit"
    }:
        hint = (
            "leave out --profile, --sustained and --accuracy, or the kind in the target's runners"
        )
        raise UsageError(f"{target.name}: {kind} measures latency only", hint=hint)


def _governed(device: Device, lock: Lock, control: Control) -> AbstractContextManager[None]:
    """The clocks as the target wants them. What a session that died left behind is undone in any
    case."""
    restore_governors(device, lock.root)
    return governors(device, lock.root, control.governor) if control.governor else nullcontext()


def _settings(**values: float) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"bench: {first['loc'][0]}: {first['msg']}",
            hint="see `edgekit recipe schema`, key bench",
        ) from None


def _observed(
    measured: Measurement,
    where: extra_runs.Bench,
    placed: Sequence[Placed],
    wanted: Mapping[str, extra_runs.Pass],
    progress: Progress,
    on_partial: Partial | None,
) -> Measurement:
    """A measurement with what further passes found out, by the field of ArtifactResult it goes to.
    If one fails, the rest is handed over."""
    results, total = (
        {result.key: result for result in measured.artifacts},
        len(wanted) * len(placed),
    )
    for at, (field_name, observe) in enumerate(wanted.items()):
        for number, one in enumerate(placed):
            progress(
                "further runs",
                at * len(placed) + number,
                total,
                f"{one.artifact.key}, {field_name}",
            )
            try:
                results[one.artifact.key] = results[one.artifact.key].model_copy(
                    update={field_name: observe(where, one)}
                )
            except (EdgekitError, KeyboardInterrupt) as error:
                so_far = {
                    "artifacts": tuple(results.values()),
                    "failure": str(error) or "interrupted",
                }
                hand_over(on_partial, measured.model_copy(update=so_far), error)
                raise
    if wanted:
        progress("further runs", total, total)
    return measured.model_copy(update={"artifacts": tuple(results.values())})
