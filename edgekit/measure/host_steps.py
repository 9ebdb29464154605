"""What a sample costs beside the inference, on the machine that measures: from raw values to the
bytes that the model takes (pre), and from its bytes to the task's answer (post).

Owns these two steps as edgekit does them in numpy, and their timing. Reading and decoding a file,
and resizing, are no part of them. The runners on a device hold no code of tasks, so that the device
is timed only where it is this machine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import ModelInput, TensorSpec
from edgekit.bundle.tensors import dequantize, quantize
from edgekit.measure.evaluation import task_of
from edgekit.measure.extra_results import HostSteps
from edgekit.measure.extra_runs import Bench
from edgekit.measure.runner_process import Placed
from edgekit.tasks.decoding import decoding_of

Tensors = dict[str, NDArray[Any]]
Channels = NDArray[np.float32]
Sample = TypeVar("Sample")
PLAIN = ModelInput(shape=())
WARMUP_ITERATIONS = 8
MIN_ITERATIONS = 64
MIN_NS = 200_000_000
MAX_NS = 5_000_000_000
UNDECODED = "the task does not say how its outputs become answers"


def host_steps(bench: Bench, placed: Placed, bundle: Bundle) -> HostSteps:
    """Time both steps of an artifact on the bundle's reference samples.

    Raises UsageError: the task is not on this machine. Raises ModelError: its code fails."""
    artifact, manifest = placed.artifact, bundle.manifest
    where: Literal["device", "host"] = "device" if bench.target.kind == "local" else "host"
    described = [(spec, manifest.inputs.get(spec.name, PLAIN)) for spec in artifact.inputs]
    inputs = tensors(bundle.file(artifact.reference_inputs).read_bytes(), artifact.inputs)
    raw = [[to_raw(sample[spec.name], spec, of) for spec, of in described] for sample in inputs]

    def prepare(sample: Sequence[NDArray[Any]]) -> list[bytes]:
        return [from_raw(values, *of) for values, of in zip(sample, described, strict=True)]

    pre_ns = median_ns(prepare, raw)
    decode = None if manifest.task is None else decoding_of(task_of(bundle))
    if decode is None or artifact.reference_outputs is None:
        return HostSteps(where=where, pre_ns=pre_ns, without_post=UNDECODED)
    data = bundle.file(artifact.reference_outputs).read_bytes()
    returned = list(tensors(data, artifact.outputs))
    post_ns = median_ns(lambda sample: decode(_real(sample, artifact.outputs)), returned)
    return HostSteps(where=where, pre_ns=pre_ns, post_ns=post_ns)


def tensors(data: bytes, specs: Sequence[TensorSpec]) -> Iterator[Tensors]:
    """Samples of concatenated tensors, in their own types and shapes, by name."""
    dtypes = {spec.name: np.dtype(spec.dtype).newbyteorder("<") for spec in specs}
    at = 0
    while at < len(data):
        sample = {}
        for spec in specs:
            count = int(np.prod(spec.shape, dtype=np.int64))
            values = np.frombuffer(data, dtypes[spec.name], count, at)
            sample[spec.name] = values.reshape(spec.shape)
            at += values.nbytes
        yield sample


def median_ns(step: Callable[[Sample], object], samples: Sequence[Sample]) -> float:
    """The median time of a step on one sample, one after the other, until it is known well
    enough."""
    times: list[int] = []
    spent_ns = 0
    for number in itertools.count(-WARMUP_ITERATIONS):
        started_ns = time.perf_counter_ns()
        step(samples[number % len(samples)])
        taken_ns = time.perf_counter_ns() - started_ns
        spent_ns += taken_ns
        if number >= 0:
            times.append(taken_ns)
        enough = len(times) >= MIN_ITERATIONS and spent_ns >= MIN_NS
        if enough or (times and spent_ns >= MAX_NS):
            break
    return float(np.median(times))


def to_raw(values: NDArray[Any], spec: TensorSpec, described: ModelInput) -> NDArray[Any]:
    """What the values were before they were normalised: pixels where they were."""
    real = dequantize(values, spec)
    if not _is_normalised(described):
        return np.asarray(real)
    scale, shift = _channels(described, real.ndim)
    pixels = np.clip(np.rint((real - shift) / scale), 0, 255)
    return np.asarray(pixels, dtype=np.uint8)


def from_raw(values: NDArray[Any], spec: TensorSpec, described: ModelInput) -> bytes:
    """The bytes that the model takes, from pixels or from real numbers."""
    if _is_normalised(described):
        scale, shift = _channels(described, values.ndim)
        values = values.astype(np.float32) * scale + shift
    return quantize(values, spec).tobytes()


def _is_normalised(described: ModelInput) -> bool:
    return described.mean is not None or described.std is not None


def _channels(described: ModelInput, dimensions: int) -> tuple[Channels, Channels]:
    """Pixels times the first, plus the second, are (pixel / 255 - mean) / std. Of a series the last
    axis holds channels, of anything else the first after the batch."""
    mean = np.array(described.mean or 0.0, dtype=np.float32)
    std = np.array(described.std or 1.0, dtype=np.float32)
    scale, shift = np.broadcast_arrays(1 / (255 * std), -mean / std)
    if len(described.shape) == 2:
        return scale, shift
    layout = (-1, *[1] * (dimensions - 2))
    return scale.reshape(layout), shift.reshape(layout)


def _real(sample: Tensors, specs: Sequence[TensorSpec]) -> Tensors:
    return {spec.name: dequantize(sample[spec.name], spec) for spec in specs}
