"""A bundle and the runtimes that it needs onto a device, ready to run. Owns which runtimes those
are; sending is deployment's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.deployment import Lock, deploy, place_bundle, provision
from edgekit.devices import Device
from edgekit.devices.target import Target
from edgekit.errors import RunnerError, UsageError
from edgekit.measure.runner_process import Placed
from edgekit.measure.user_programs import require_program
from edgekit.progress import Progress
from edgekit.runners.board_platform import platform_of
from edgekit.runners.runtime import Runtime, runtimes_for
from edgekit.sanitize import printable


def place(
    bundle: Bundle,
    keys: Collection[str],
    target: Target,
    device: Device,
    lock: Lock,
    progress: Progress,
    *,
    activate: bool,
) -> list[Placed]:
    """The artifacts of these keys on the device, in the bundle's order. With `activate` the bundle
    becomes the device's current one.

    Raises UsageError (no such artifact), RunnerError (a runtime that the device cannot run),
    DeviceError (a program of the user's that it cannot run), what `deploy` raises."""
    artifacts = artifacts_of(bundle, keys)
    runtimes = _runtimes(bundle, artifacts, target, device, progress)
    commands = {
        runtime: provision(device, target.workdir, runtime, lock=lock, progress=progress)
        for runtime in dict.fromkeys(runtimes.values())
    }
    deployed = (
        deploy(bundle, device, target.workdir, lock=lock, progress=progress)
        if activate
        else place_bundle(bundle, lock, progress=progress)
    )
    placed = []
    for artifact in artifacts:
        runtime = runtimes.get(artifact.key)
        program = str(target.runners.program(artifact.runtime))
        placed.append(
            Placed(
                artifact=artifact,
                command=commands[runtime] if runtime else (program,),
                model=deployed.artifacts[artifact.key],
                inputs=f"{deployed.directory}/{artifact.reference_inputs.name}",
                outputs=outputs_path(lock),
                runner_kind=target.runners.kind(artifact.runtime),
                python_because=runtime.because if runtime else "",
            )
        )
    return placed


def artifacts_of(bundle: Bundle, keys: Collection[str]) -> list[Artifact]:
    """Raises UsageError when the bundle has no artifact of a key, or no key is given."""
    there = [artifact.key for artifact in bundle.manifest.artifacts]
    missing = [key for key in keys if key not in there]
    if missing or not keys:
        what = f"no artifact {printable(missing[0])!r}" if missing else "no artifact is named"
        raise UsageError(f"{bundle.path}: {what}", hint=f"it holds {', '.join(there)}")
    return [artifact for artifact in bundle.manifest.artifacts if artifact.key in keys]


def _runtimes(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    target: Target,
    device: Device,
    progress: Progress,
) -> dict[str, Runtime]:
    """The runtime of each artifact that no program of the user's runs, all before the first is
    sent: a device that cannot run one, or the user's own program, is refused untouched."""
    platform = platform_of(target, device)
    for kind in sorted({artifact.runtime for artifact in artifacts}):
        if program := target.runners.program(kind):
            require_program(device, program, platform)
    try:
        runtimes = runtimes_for(
            {
                bundle.file(artifact.file): artifact.runtime
                for artifact in artifacts
                if not target.runners.program(artifact.runtime)
            },
            platform,
            exported_by=bundle.manifest.versions,
            progress=progress,
        )
    except RunnerError as error:
        raise RunnerError(
            f"{device.name}: {error.message}", hint=error.hint, details=error.details
        ) from error
    return {path.name: runtime for path, runtime in runtimes.items()}


def outputs_path(lock: Lock) -> str:
    """Where runners write outputs: one file, written anew in each run, as runs never overlap."""
    return f"{lock.root}/outputs.bin"
