"""Bundle + target → measurement: deploy, run the artifacts in turn, collect. Owns the order of things in a session; numbers are judged elsewhere.

Artifacts are interleaved over runs (A B C A B C …), each run a fresh process with a nonce of its own, so that a device that warms up or a
neighbour that starts working meets all artifacts alike.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from pydantic import ValidationError

from edgekit import __version__, other_runners, passes
from edgekit.accuracy import accuracy, require_evaluation
from edgekit.bundle import Bundle
from edgekit.deployment import Lock, deploy, hold, provision
from edgekit.deployment.lock import LEASE_S
from edgekit.device import Device, connect
from edgekit.device.control import CoolDown, cool_down, governors, restore_governors
from edgekit.device.facts import CpuTime, DeviceFacts, DeviceState, collect, collect_state
from edgekit.errors import EdgekitError, RunnerError, UsageError
from edgekit.invocation import Placed, attempt, read_outputs, watching
from edgekit.measurement import ArtifactResult, Controlled, Measurement, OutputCheck, Run, Settings
from edgekit.power.session import measure_energy, meter
from edgekit.probes import Probe, device_probes
from edgekit.progress import Progress, silent
from edgekit.runtimes import Format, Runtime, runtime_for
from edgekit.runtimes.board import platform_of
from edgekit.signature import require_signature
from edgekit.stats import Fidelity
from edgekit.target import Control, Target
from edgekit.validity import artifact_notes, run_notes, session_notes
from edgekit.wire import RunnerRun

SNR_MIN_DB = 20.0
COSINE_MIN = 0.99
PROBE_EVERY_S = 0.5
"""How often a runner reads clocks and temperatures between inferences."""
LEASE_MARGIN_S = 120.0
"""What may pass between a renewal of the device's lock and the end of the run after it, beside the run itself."""

Partial = Callable[[Measurement], object]
"""Receives what was measured before a session ended early."""


@dataclass
class _Session:
    """What is gathered while artifacts are measured. Lives for one `measure`."""

    facts: DeviceFacts
    states: list[DeviceState]
    probes: tuple[Probe, ...]
    waits: list[CoolDown] = field(default_factory=list)
    created: str = field(default_factory=lambda: _now())
    began: float = field(default_factory=time.monotonic)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    said: dict[str, RunnerRun] = field(default_factory=dict)
    outputs: dict[str, list[tuple[Fidelity, ...]]] = field(default_factory=dict)

    def result(self, placed: Placed) -> ArtifactResult:
        key, specs = placed.artifact.key, placed.artifact.outputs
        said, compared = self.said.get(key), self.outputs.get(key, [])
        return ArtifactResult(
            artifact=placed.artifact,
            runner=said.hello if said else None,
            arena_bytes=said.load.arena_bytes if said and said.load else None,
            outputs=tuple(OutputCheck.worst(spec.name, list(found)) for spec, found in zip(specs, zip(*compared, strict=True), strict=False)),
            runs=tuple(self.runs.get(key, ())),
            runner_kind=placed.runner_kind,
        )


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
) -> Measurement:
    """Deploy a bundle to a target and measure every artifact of it there, `runs` fresh processes each, in turn.

    The settings are those of edgekit.recipe.schema.Bench. After the measurement each artifact runs once more in a process of its own for `profile`
    (time by operator), in one of `sustained_seconds` (at most 3600) for the curve of a long run, in as many as it takes for accuracy on the first
    `accuracy_samples` of the bundle's evaluation set, and in one for `energy` by the target's power sensor. The device's lock is held from the first
    byte sent to the last run. Whatever ends the session early, Ctrl-C included, `on_partial` gets what was measured until then before the error is raised.

    Raises UsageError (settings out of range), what `deploy` raises, RunnerError (no runtime, a crash, a hang, out of memory), ResultError (not signed as
    the target demands; what came back is not acceptable), TransportError; the message names device, artifact and run.
    """
    settings = _settings(
        runs=runs,
        warmup_min_seconds=warmup_min_seconds,
        min_iterations=min_iterations,
        min_seconds=min_seconds,
        max_seconds=max_seconds,
        threads=threads,
    )
    if accuracy_samples is not None:
        require_evaluation(bundle)
    if profile or sustained_seconds is not None or accuracy_samples is not None:
        _require_own_runners(bundle, target)
    require_signature(bundle, target)
    with closing(connect(target)) as device, hold(device, target.workdir) as lock:
        placed = _place(bundle, target, device, lock, progress)
        longest_s = target.timeouts.run_seconds + LEASE_MARGIN_S + max(sustained_seconds or 0.0, target.power.seconds if target.power else 0.0)
        lease_s = max(LEASE_S, 2 * longest_s)  # `renew` leaves at least half of it
        try:
            with _governed(device, lock, target.control):
                measured = measure(
                    *(bundle, target, device, placed, settings),
                    before_run=lambda: lock.renew(lease_s),
                    progress=progress,
                    on_partial=on_partial,
                )
                where = passes.Bench(target, device, settings, measured.probes, lambda: lock.renew(lease_s))
                wanted: dict[str, passes.Pass] = {"profile": passes.profile} if profile else {}
                if sustained_seconds is not None:
                    wanted["sustained"] = partial(passes.sustain, seconds=sustained_seconds)
                if accuracy_samples is not None:
                    count = min(accuracy_samples, require_evaluation(bundle).samples)
                    told = partial(progress, "accuracy on the device", total=count)
                    wanted["accuracy"] = partial(accuracy, bundle=bundle, samples=count, told=told)
                with meter(target, device) if energy else nullcontext(None) as power:
                    if power is not None:
                        wanted["energy"] = partial(measure_energy, open_meter=power)
                    return _observed(measured, where, placed, wanted, progress, on_partial)
        finally:
            with suppress(EdgekitError):
                device.run(["rm", "-f", _outputs(lock)], timeout_s=target.timeouts.connect_seconds)


def _require_own_runners(bundle: Bundle, target: Target) -> None:
    for kind in {target.runners.kind(artifact.format) for artifact in bundle.manifest.artifacts} - {"edgekit"}:
        hint = "leave out --profile, --sustained and --accuracy, or the kind in the target's runners"
        raise UsageError(f"{target.name}: {kind} measures latency only", hint=hint)


def _governed(device: Device, lock: Lock, control: Control) -> AbstractContextManager[None]:
    """The clocks as the target wants them. What a session that died left behind is undone in any case."""
    restore_governors(device, lock.root)
    return governors(device, lock.root, control.governor) if control.governor else nullcontext()


def _settings(**values: float) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"bench: {first['loc'][0]}: {first['msg']}", hint="see `edgekit recipe schema`, key bench") from None


def _place(bundle: Bundle, target: Target, device: Device, lock: Lock, progress: Progress) -> list[Placed]:
    """Bring the bundle and the runtimes it needs onto the device."""
    formats: tuple[Format, ...] = ("executorch", "litert")
    commands: dict[Format, tuple[str, ...]] = {kind: (program,) for kind in formats if (program := target.runners.program(kind))}
    for kind, runtime in _runtimes(bundle, target, device, set(commands), progress).items():
        commands[kind] = provision(device, target.workdir, runtime, lock=lock, progress=progress)
    deployed = deploy(bundle, device, target.workdir, lock=lock, progress=progress)
    return [
        Placed(
            artifact=artifact,
            command=commands[artifact.format],
            model=deployed.artifacts[artifact.key],
            inputs=f"{deployed.directory}/{artifact.reference_inputs.name}",
            outputs=_outputs(lock),
            runner_kind=target.runners.kind(artifact.format),
        )
        for artifact in bundle.manifest.artifacts
    ]


def _runtimes(bundle: Bundle, target: Target, device: Device, there: set[Format], progress: Progress) -> dict[Format, Runtime]:
    """The runtimes a bundle needs that are not there, all of them before the first is sent: a device that cannot run one is refused untouched."""
    platform = platform_of(target, device)
    formats: dict[Format, None] = dict.fromkeys(artifact.format for artifact in bundle.manifest.artifacts if artifact.format not in there)
    exported_by = bundle.manifest.versions.get("executorch")
    try:
        return {kind: runtime_for(kind, platform, exported_by=exported_by, progress=progress) for kind in formats}
    except RunnerError as error:
        raise RunnerError(f"{device.name}: {error.message}", hint=error.hint, details=error.details) from error


def _outputs(lock: Lock) -> str:
    """Where runners write outputs: one file, written anew in each run, as runs never overlap."""
    return f"{lock.root}/outputs.bin"


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
    """Measure artifacts that are on a device already. See `bench`."""
    state = collect_state(device)
    session = _Session(collect(device), [state], device_probes(state))
    total, task = settings.runs * len(placed), f"measure on {target.name}"
    try:
        for index in range(settings.runs):
            for place, one in enumerate(placed):
                name = f"{one.artifact.key}, run {index + 1} of {settings.runs}"
                progress(task, index * len(placed) + place, total, name)
                before_run()
                _run_once(session, bundle, target, device, one, settings, index, name)
    except (EdgekitError, KeyboardInterrupt) as error:
        _hand_over(on_partial, _finished(session, bundle, target, placed, settings, failure=str(error) or "interrupted"), error)
        raise
    progress(task, total, total)
    return _finished(session, bundle, target, placed, settings)


def _observed(
    measured: Measurement,
    where: passes.Bench,
    placed: Sequence[Placed],
    wanted: Mapping[str, passes.Pass],
    progress: Progress,
    on_partial: Partial | None,
) -> Measurement:
    """A measurement with what further passes found out, by the field of ArtifactResult it goes to. If one fails, the rest is handed over."""
    results, total = {result.key: result for result in measured.artifacts}, len(wanted) * len(placed)
    for at, (field_name, observe) in enumerate(wanted.items()):
        for place, one in enumerate(placed):
            progress("further runs", at * len(placed) + place, total, f"{one.artifact.key}, {field_name}")
            try:
                results[one.artifact.key] = results[one.artifact.key].model_copy(update={field_name: observe(where, one)})
            except (EdgekitError, KeyboardInterrupt) as error:
                so_far = {"artifacts": tuple(results.values()), "failure": str(error) or "interrupted"}
                _hand_over(on_partial, measured.model_copy(update=so_far), error)
                raise
    if wanted:
        progress("further runs", total, total)
    return measured.model_copy(update={"artifacts": tuple(results.values())})


def _hand_over(on_partial: Partial | None, found: Measurement, error: BaseException) -> None:
    """Let the caller keep a partial measurement. That it cannot must not hide why the session ended."""
    try:
        if on_partial:
            on_partial(found)
    except EdgekitError as lost:
        if not isinstance(error, EdgekitError):
            raise
        error.hint = "; ".join(filter(None, (error.hint, f"the partial measurement was not stored: {lost.message}")))


def _run_once(
    session: _Session, bundle: Bundle, target: Target, device: Device, placed: Placed, settings: Settings, index: int, name: str
) -> None:
    """One process, its outputs, and the device's state after it. Whatever goes wrong is raised with the device and the run in its message."""
    key, timeouts = placed.artifact.key, target.timeouts
    try:
        before, started = _cool(session, target, device), _now()
        watch = watching(session.probes, target.control.cpus, every_s=PROBE_EVERY_S)
        if placed.runner_kind != "edgekit":
            made = other_runners.attempt(device, placed.runner_kind, placed, settings, before, timeout_s=timeouts.run_seconds)
        else:
            made = attempt(
                *(device, placed, settings, before), timeout_s=timeouts.run_seconds, no_progress_s=timeouts.no_progress_seconds, more=watch
            )
        session.runs.setdefault(key, []).append(_run(index, started, made.run, before, None))
        if made.error:
            raise made.error
        session.said[key] = made.run
        if placed.runner_kind == "edgekit" and placed.artifact.reference_outputs is not None:
            reference = bundle.file(placed.artifact.reference_outputs).read_bytes()
            session.outputs.setdefault(key, []).append(read_outputs(device, placed, made.run, reference))
        after = collect_state(device)
        if before.boot_id != after.boot_id:
            raise RunnerError("the device rebooted during the run", hint="check its power supply and temperature")
    except EdgekitError as error:
        raise type(error)(f"{device.name}: {name}: {error.message}", hint=error.hint, details=error.details) from error
    session.states.append(after)
    session.runs[key][-1] = _run(index, started, made.run, before, after)


def _cool(session: _Session, target: Target, device: Device) -> DeviceState:
    """The device's state before a run, after a wait for it to cool where the target asks for one."""
    if target.control.cool_down is None:
        return session.states[-1]
    waited, state = cool_down(device, session.states[-1], target.control.cool_down.below_c, target.control.cool_down.timeout_seconds)
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


def _run(index: int, started: str, said: RunnerRun, before: DeviceState, after: DeviceState | None) -> Run:
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
        device_cpu=CpuTime.of_ticks(said.ticks) if len(said.ticks) >= 4 and min(said.ticks) >= 0 else None,
        windows=said.windows,
    )


def _finished(
    session: _Session, bundle: Bundle, target: Target, placed: Sequence[Placed], settings: Settings, *, failure: str = ""
) -> Measurement:
    results = tuple(session.result(one) for one in placed)
    controlled = _controlled(session, target.control)
    notes = session_notes(session.facts, session.states, target.timings_reason)
    notes += run_notes([run for result in results for run in result.runs], session.probes, controlled)
    for result in results:
        notes += artifact_notes(result, snr_min_db=SNR_MIN_DB, cosine_min=COSINE_MIN)
    return Measurement(
        id=secrets.token_hex(16),
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
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
