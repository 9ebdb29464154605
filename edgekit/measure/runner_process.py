"""One process of a runner on a device: its command line, and what came of it. Why it failed is put
in words by run_failures.py. Knows no statistics and no session."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Artifact, TensorSpec
from edgekit.devices import Device
from edgekit.devices.fact_scripts import collect_state
from edgekit.devices.facts import DeviceState
from edgekit.devices.probe import Probe
from edgekit.errors import (
    DeviceError,
    EdgekitError,
    ResultError,
    RunnerError,
    TransportError,
)
from edgekit.measure.protocol import Mode, RunnerRun, parse_runner_output
from edgekit.measure.protocol_lines import TensorInfo
from edgekit.measure.protocol_text import MAX_OUTPUT_BYTES
from edgekit.measure.run_failures import failed, given_up
from edgekit.measure.runs import RunnerKind
from edgekit.measure.settings import Settings
from edgekit.sample_steps.tensors import dequantize
from edgekit.sanitize import printable
from edgekit.stats import Fidelity, fidelity

MAX_STDERR_BYTES = 64 << 10


@dataclass(frozen=True)
class Placed:
    """An artifact on a device, ready to run; the paths are the device's. `command` is the runner
    and what comes before its options."""

    artifact: Artifact
    command: tuple[str, ...]
    model: str
    inputs: str
    outputs: str
    samples: int = 0
    """How many samples `inputs` holds; 0: as many as the reference has."""
    steps: int = 0
    """Of a model with states: how many of the samples are a series; 0: all of the reference."""
    runner_kind: RunnerKind = "edgekit"
    python_because: str = ""
    """Why edgekit's runner in Python runs it; empty for a native one."""


@dataclass(frozen=True)
class Attempt:
    """What came of one process: its output as far as it goes, and the error that ended it, if one
    did. `heard_s` is when its first output came, by time.monotonic() of this host."""

    run: RunnerRun
    error: EdgekitError | None = None
    heard_s: float | None = None


def runner_argv(
    placed: Placed, settings: Settings, nonce: str, mode: Mode = "measure", more: Sequence[str] = ()
) -> list[str]:
    """The command line of protocol 1, `more` at its end. Times are whole nanoseconds."""
    times = {
        "--warmup-min-ns": settings.warmup_min_seconds,
        "--min-ns": settings.min_seconds,
        "--max-ns": max(settings.max_seconds, 1e-9),
    }
    return [
        *(*placed.command, "--model", placed.model, "--nonce", nonce, "--mode", mode),
        *(
            "--inputs",
            placed.inputs,
            "--samples",
            str(placed.samples or placed.artifact.reference_samples),
            "--outputs",
            placed.outputs,
        ),
        *("--threads", str(settings.threads), "--min-iterations", str(settings.min_iterations)),
        *(part for name, seconds in times.items() for part in (name, str(round(seconds * 1e9)))),
        *_call(placed.artifact),
        *_states(placed),
        *more,
    ]


def _call(artifact: Artifact) -> list[str]:
    """Which signature, and in which shapes, where there is a choice; inputs by their numbers."""
    signature = [] if artifact.signature is None else ["--signature", artifact.signature]
    shapes = [
        f"{number}:{'x'.join(map(str, spec.shape))}"
        for number, spec in enumerate(artifact.inputs)
        if spec.is_resized
    ]
    return [*signature, *(["--shapes", ",".join(shapes)] if shapes else [])]


def _states(placed: Placed) -> list[str]:
    """Which inputs are fed from which outputs, by their numbers, and for how many samples."""
    outputs = [spec.name for spec in placed.artifact.outputs]
    fed = [
        f"{number}:{outputs.index(spec.from_output)}"
        for number, spec in enumerate(placed.artifact.inputs)
        if spec.from_output is not None
    ]
    steps = placed.steps or placed.artifact.reference_samples
    return ["--states", ",".join(fed), "--steps", str(steps)] if fed else []


def watching(probes: Sequence[Probe], cpus: Sequence[int], *, every_s: float) -> list[str]:
    """Options for a run on some cores (none: on all) that reads probes every so often."""
    bound = ["--cpus", ",".join(map(str, cpus))] if cpus else []
    return [
        *bound,
        *(
            [
                "--window-ns",
                str(round(every_s * 1e9)),
                "--probes",
                ":".join(probe.path for probe in probes),
            ]
            if probes
            else []
        ),
    ]


def attempt(
    device: Device,
    placed: Placed,
    settings: Settings,
    before: DeviceState,
    *,
    timeout_s: float,
    no_progress_s: float | None,
    mode: Mode = "measure",
    more: Sequence[str] = (),
) -> Attempt:
    """Run the runner once in a fresh process and read its output. A failure of the run is returned,
    not raised, with what was printed before it.

    Raises TransportError when the device cannot be reached any more, and Interrupted or
    KeyboardInterrupt as they come."""
    nonce, printed, heard = secrets.token_hex(16), bytearray(), list[float]()

    def hear(chunk: bytes) -> None:
        if not heard:
            heard.append(time.monotonic())
        printed.extend(chunk)

    try:
        done = device.run(
            runner_argv(placed, settings, nonce, mode, more),
            timeout_s=timeout_s,
            no_progress_s=no_progress_s,
            max_stdout_bytes=MAX_OUTPUT_BYTES,
            max_stderr_bytes=MAX_STDERR_BYTES,
            on_stdout=hear,
        )
    except TransportError as error:
        after = _state_or_none(device)
        if after is None:
            raise
        return Attempt(_kept(bytes(printed), nonce), given_up(error, before, after))
    except DeviceError as error:
        return Attempt(_kept(b"", nonce), error)
    if not done.ok:
        partial = _kept(done.stdout, nonce)
        failure = failed(done, partial.error, before, _state_or_none(device))
        return Attempt(partial, _with_shape_hint(failure, placed.artifact))
    try:
        size = placed.artifact.file.bytes
        with_outputs = mode != "profile"
        run = parse_runner_output(
            done.stdout,
            nonce=nonce,
            mode=mode,
            model_bytes=size,
            outputs_wanted=with_outputs,
            truncated=done.stdout_truncated,
        )
        check_tensors(placed.artifact, run)
    except (ResultError, RunnerError) as error:
        return Attempt(_kept(done.stdout, nonce), error)
    return Attempt(run, heard_s=heard[0] if heard else None)


def _with_shape_hint(error: RunnerError, artifact: Artifact) -> RunnerError:
    """A `.pte` does not say which of its sizes are free, so that a shape may be refused late."""
    if error.hint or not any(spec.is_resized for spec in artifact.inputs):
        return error
    hint = "the model may not take the shape that was chosen: try the one it was exported with"
    return RunnerError(error.message, hint=hint, details=error.details)


def check_tensors(artifact: Artifact, run: RunnerRun) -> None:
    """Raise ResultError unless the model on the device has the inputs and outputs that the bundle
    says, by type and shape."""
    foreign = artifact.reference_outputs is None
    for kind, tensors, specs in (
        ("inputs", run.inputs, artifact.inputs),
        ("outputs", run.outputs, artifact.outputs),
    ):
        open_shape = foreign and kind == "outputs"
        if len(tensors) != len(specs) or not all(
            _is(tensor, spec, open_shape=open_shape)
            for tensor, spec in zip(tensors, specs, strict=True)
        ):
            shown = ", ".join(f"{each.dtype}{list(each.shape)}" for each in tensors) or "none"
            raise ResultError(
                f"the model on the device has other {kind} than the bundle says:"
                f" {printable(shown)}",
                hint="convert the model again" if foreign else "deploy the bundle again",
            )


def _is(tensor: TensorInfo, spec: TensorSpec, *, open_shape: bool) -> bool:
    """Where a size is dynamic, any is right: the runner set what it was told, or it failed. With
    `open_shape`, a file that names no shape may mean any."""
    free = {size.axis for size in spec.dynamic}
    fixed = [axis for axis in range(len(spec.shape)) if axis not in free]
    same_shape = len(tensor.shape) == len(spec.shape) and all(
        tensor.shape[axis] == spec.shape[axis] for axis in fixed
    )
    return tensor.dtype == spec.dtype and (same_shape or (open_shape and not spec.shape))


def read_outputs(
    device: Device, placed: Placed, run: RunnerRun, reference: bytes
) -> tuple[tuple[Fidelity, ...], list[NDArray[np.float64]]]:
    """Fetch the outputs of the reference samples and compare them with the reference: one result
    and one array (samples, elements) per output tensor, in real values.

    Raises ResultError (another amount of bytes than the reference has), and what `device.pull`
    raises."""
    if (
        run.output_file is None
        or run.output_file.bytes != len(reference)
        or run.output_file.samples != placed.artifact.reference_samples
    ):
        raise ResultError(
            "the runner wrote outputs of another size than the reference has",
            hint="deploy the bundle again",
        )
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory) / "outputs.bin"
        device.pull(placed.outputs, local, max_bytes=len(reference))
        content = local.read_bytes()
    if len(content) != len(reference):
        raise ResultError(
            f"the file of outputs holds {len(content)} bytes, the reference {len(reference)}",
            hint="run the measurement again",
        )
    specs, samples = placed.artifact.outputs, placed.artifact.reference_samples
    actual, expected = (real_values(data, specs, samples) for data in (content, reference))
    return tuple(fidelity(e, f) for e, f in zip(expected, actual, strict=True)), actual


def real_values(
    data: bytes, specs: tuple[TensorSpec, ...], samples: int
) -> list[NDArray[np.float64]]:
    """Split `samples` samples of concatenated tensors into one array (samples, elements) per
    tensor, dequantized.

    Raises ResultError unless the length fits.
    """
    dtypes = [np.dtype(spec.dtype).newbyteorder("<") for spec in specs]
    counts = [int(np.prod(spec.shape, dtype=np.int64)) for spec in specs]
    sizes = [count * dtype.itemsize for count, dtype in zip(counts, dtypes, strict=True)]
    if len(data) != samples * sum(sizes):
        raise ResultError(
            f"{len(data)} bytes of outputs where {samples} samples of {sum(sizes)} bytes were"
            " expected"
        )
    rows = np.frombuffer(data, dtype=np.uint8).reshape(samples, sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    raw = [
        np.ascontiguousarray(rows[:, start : start + size]).view(dtype)
        for start, size, dtype in zip(starts, sizes, dtypes, strict=True)
    ]
    # In 32 bits as on the build host: with twice the precision, equal integers of scales that
    # differ in the last bit would not be equal.
    return [
        (values if spec.scale is None else dequantize(values, spec)).astype(np.float64)
        for values, spec in zip(raw, specs, strict=True)
    ]


def _kept(stdout: bytes, nonce: str) -> RunnerRun:
    """What can be used of the output of a run that failed; nothing when it is rubbish. Never
    complete."""
    try:
        return replace(
            parse_runner_output(stdout, nonce=nonce, allow_incomplete=True), complete=False
        )
    except ResultError:
        return parse_runner_output(b"", nonce=nonce, allow_incomplete=True)


def _state_or_none(device: Device) -> DeviceState | None:
    try:
        return collect_state(device)
    except EdgekitError:
        return None
