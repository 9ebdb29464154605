"""The program that times a sample's steps on a device: bringing it there, running it, and reading
what it prints as untrusted input. Owns its plan and its lines; what is timed where is
pipeline_times.py's."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from edgekit.bundle.manifest import Artifact, Manifest, RuntimeName, TensorSpec
from edgekit.deployment import Lock, provision
from edgekit.devices import CompletedProgram, Device
from edgekit.devices.fact_scripts import collect_state
from edgekit.devices.target import Target
from edgekit.errors import ResultError, RunnerError, TransportError
from edgekit.measure.extra_runs import Bench
from edgekit.measure.protocol_lines import Count, ErrorLine, Line, Nanoseconds
from edgekit.measure.protocol_text import bad_line, parsed_lines
from edgekit.measure.run_failures import failed, given_up
from edgekit.measure.runner_process import Placed
from edgekit.progress import Progress
from edgekit.runners.board_platform import platform_of
from edgekit.runners.runtime import Platform, Runtime, runtime_for
from edgekit.runners.sample_steps import packages_of, steps_runtime, why_not
from edgekit.sample_steps.preparing import DescribedInput
from edgekit.sample_steps.timing import MOST_ITERATIONS
from edgekit.tasks.decoding import Decoding

Step = Literal["pre", "post"]
MAX_PRINTED_BYTES = 4 << 20
PLAIN = DescribedInput()


class TimesLine(Line):
    type: Literal["times"]
    step: Step
    offset: Count
    ns: Annotated[tuple[Nanoseconds, ...], Field(min_length=1, max_length=4096)]


class EndLine(Line):
    type: Literal["end"]
    ok: Literal[True]


AnyLine = Annotated[TimesLine | EndLine | ErrorLine, Field(discriminator="type")]
_LINE: TypeAdapter[TimesLine | EndLine | ErrorLine] = TypeAdapter(AnyLine)


@dataclass(frozen=True)
class StepsProgram:
    """How the program is started on a device, or why it cannot be."""

    command: tuple[str, ...] = ()
    unavailable: str = ""


def place_program(
    artifacts: Sequence[Artifact], target: Target, device: Device, lock: Lock, progress: Progress
) -> StepsProgram:
    """Bring the program onto a device, beside the runtimes of these artifacts. Raises what
    `provision` raises."""
    platform = platform_of(target, device)
    kinds = dict.fromkeys(
        artifact.runtime for artifact in artifacts if not target.runners.program(artifact.runtime)
    )
    packages = packages_of(_with_numpy(kinds, platform))
    if reason := why_not(platform, packages):
        return StepsProgram(unavailable=reason)
    runtime = steps_runtime(platform, packages)
    return StepsProgram(provision(device, target.workdir, runtime, lock=lock, progress=progress))


def _with_numpy(kinds: Iterable[RuntimeName], platform: Platform) -> list[Runtime]:
    """The runtimes whose packages the program uses: LiteRT's runner in Python brings numpy, for a
    device that has none or uses that runner anyway."""
    in_python = platform.litert_runner == "python"
    if platform.is_host or platform.python is None or (platform.numpy and not in_python):
        return []
    try:
        return [runtime_for(kind, replace(platform, litert_runner="python")) for kind in kinds]
    except RunnerError:
        return []  # what is measured does not need them


def time_on_device(
    bench: Bench,
    placed: Placed,
    program: StepsProgram,
    manifest: Manifest,
    decoding: Decoding | None,
) -> dict[Step, list[int]]:
    """The times of both steps in ns; without a decoding those of the first alone.

    Raises RunnerError (the program fails), ResultError (its output is not acceptable),
    TransportError."""
    nonce, timeouts = secrets.token_hex(16), bench.target.timeouts
    plan = plan_of(placed, manifest, decoding, nonce, bench.target.control.cpus)
    bench.before_run()
    with bench.naming(placed, "pipeline"):
        before = collect_state(bench.device)
        try:
            done = bench.device.run(
                program.command,
                timeout_s=timeouts.run_seconds,
                no_progress_s=timeouts.no_progress_seconds,
                stdin=json.dumps(plan).encode(),
                max_stdout_bytes=MAX_PRINTED_BYTES,
            )
        except TransportError as error:
            raise given_up(error, before, collect_state(bench.device)) from error
        if not done.ok:
            raise failed(done, _reported(done, nonce), before, collect_state(bench.device))
        steps: tuple[Step, ...] = ("pre", "post") if decoding else ("pre",)
        return read_times(done.stdout, nonce, steps=steps, truncated=done.stdout_truncated)


def plan_of(
    placed: Placed,
    manifest: Manifest,
    decoding: Decoding | None,
    nonce: str,
    cpus: Collection[int],
) -> dict[str, Any]:
    """What the program is told, see edgekit.sample_steps.main."""
    artifact = placed.artifact
    directory = placed.inputs.removesuffix(artifact.reference_inputs.name)
    outputs = artifact.reference_outputs
    return {
        "nonce": nonce,
        "cpus": list(cpus),
        "inputs_file": placed.inputs,
        "inputs": [_stored(spec) for spec in artifact.inputs],
        "described": [described(spec, manifest)._asdict() for spec in artifact.inputs],
        "outputs_file": directory + outputs.name if outputs else None,
        "outputs": [_stored(spec) for spec in artifact.outputs],
        "decoding": {"name": decoding.name, "args": dict(decoding.args)} if decoding else None,
    }


def described(spec: TensorSpec, manifest: Manifest) -> DescribedInput:
    """How raw values become an input of an artifact, by the manifest."""
    model_input = manifest.inputs.get(spec.name)
    if model_input is None:
        return PLAIN
    return DescribedInput(model_input.shape, model_input.mean, model_input.std)


def _stored(spec: TensorSpec) -> dict[str, Any]:
    return spec.model_dump(include={"name", "dtype", "shape", "scale", "zero_point"})


def read_times(
    stdout: bytes, nonce: str, *, steps: Collection[Step], truncated: bool = False
) -> dict[Step, list[int]]:
    """The times of these steps in what the program printed.

    Raises ResultError (another nonce, no such line, times with a gap, not all of them), RunnerError
    (the program reported a failure)."""
    times: dict[Step, list[int]] = {step: [] for step in steps}
    lines = parsed_lines(stdout, nonce, _LINE)
    for number, line in lines:
        if isinstance(line, ErrorLine):
            raise RunnerError(f"the program reported: {line.code}: {line.message}")
        if isinstance(line, TimesLine):
            _add(times, number, line)
        elif number < len(lines):
            raise bad_line(number + 1, "after the end")
    if truncated or not lines or not isinstance(lines[-1][1], EndLine):
        raise _incomplete(f"the program's output stops after line {len(lines)}")
    if missing := [step for step, of_step in times.items() if not of_step]:
        raise _incomplete(f"the program printed no times of {missing[0]}")
    return times


def _add(times: dict[Step, list[int]], number: int, line: TimesLine) -> None:
    if line.step not in times:
        raise bad_line(number, f"times of {line.step}, which were not asked for")
    of_step = times[line.step]
    if line.offset != len(of_step):
        raise bad_line(number, f"times start at {line.offset}, expected {len(of_step)}")
    of_step += line.ns
    if len(of_step) > MOST_ITERATIONS:
        raise bad_line(number, f"more than {MOST_ITERATIONS} times")


def _incomplete(message: str) -> ResultError:
    return ResultError(message, hint="run the measurement again")


def _reported(done: CompletedProgram, nonce: str) -> str | None:
    """What a program that failed says of it, as far as that can be used."""
    try:
        lines = parsed_lines(done.stdout, nonce, _LINE)
    except ResultError:
        return None
    errors = [line for _, line in lines if isinstance(line, ErrorLine)]
    return f"{errors[0].code}: {errors[0].message}" if errors else None
