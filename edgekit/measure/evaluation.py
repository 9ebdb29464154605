"""The task's metrics of an artifact on a device: the bundle's evaluation set, sent in chunks, run,
fetched and scored. Needs neither torch nor the data.

Owns the stream. What the set is, is pipeline/evaluation.py's; what an answer is worth is the
task's; how one process runs is extra_runs.py's."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import Artifact, Evaluation, EvaluationTensor, TensorSpec
from edgekit.errors import ModelError, ResultError, UsageError
from edgekit.extras import naming_extras
from edgekit.measure.extra_results import DeviceEvaluation
from edgekit.measure.extra_runs import Bench
from edgekit.measure.runner_process import Placed, real_values
from edgekit.metrics import MetricValue
from edgekit.sample_steps.tensors import quantize
from edgekit.stats import decibels
from edgekit.stats.fidelity import MOST_DB
from edgekit.tasks.scoring import Agreement, Scores
from edgekit.tasks.task import Outputs, Task, load_task

CHUNK_BYTES = 8 << 20
CHUNK_SAMPLES = 1000


def require_evaluation(bundle: Bundle) -> Evaluation:
    """The evaluation set of a bundle. Raises UsageError: it has none, or none for an artifact."""
    evaluation = bundle.manifest.evaluation
    if evaluation is None:
        hint = (
            "set export.evaluation_set in the recipe to the number of samples wanted, and build"
            " again"
        )
        raise UsageError(f"{bundle.path}: the bundle holds no evaluation set", hint=hint)
    for artifact in bundle.manifest.artifacts:
        tensors = evaluation.outputs.get(artifact.key, ())
        inputs = [spec for spec in artifact.inputs if spec.from_output is None]
        if len(tensors) != len(artifact.outputs) or len(evaluation.inputs) != len(inputs):
            raise UsageError(
                f"{bundle.path}: {artifact.key} has no outputs in the evaluation set",
                hint="build the bundle again",
            )
    return evaluation


def whole_series(evaluation: Evaluation, samples: int) -> int:
    """How many samples are run where so many are asked for: at most all, and whole series of a
    model with states, at least one."""
    return max(1, min(samples, evaluation.samples) // evaluation.steps) * evaluation.steps


def task_of(bundle: Bundle) -> Task:
    """The task of a bundle, by the name in its manifest. A user's own module must lie in the
    working directory, or be installed.

    Raises UsageError: there is no such task on this machine, or the bundle names none."""
    name = bundle.manifest.task
    if name is None:
        raise UsageError(f"{bundle.path}: the bundle does not say what its task is")
    try:
        return load_task(name)
    except ModelError as error:
        raise UsageError(
            f"{bundle.path}: cannot be evaluated on this machine: {error.message}",
            hint=error.hint or "install the package of the task here",
        ) from None


def evaluate(
    bench: Bench,
    placed: Placed,
    bundle: Bundle,
    samples: int,
    *,
    on_samples: Callable[[int], None] = lambda done: None,
) -> DeviceEvaluation:
    """Run the first `samples` samples of the evaluation set, see `whole_series`. `on_samples` hears
    how many are done.

    Raises what `Bench.run` raises; UsageError for a task that is not on this machine; ResultError
    for outputs of a wrong size or with NaN.
    """
    evaluation, task = require_evaluation(bundle), task_of(bundle)
    samples = whole_series(evaluation, samples)
    inputs = _data_inputs(evaluation, placed.artifact.inputs)
    outputs = matched(evaluation.outputs[placed.artifact.key], placed.artifact.outputs)
    artifact = _at_sizes(placed.artifact, inputs, outputs)
    placed = replace(placed, steps=evaluation.steps, artifact=artifact)
    progress = _Progress(task, artifact.outputs, evaluation.steps)
    for start, stop in _chunks(samples, placed.artifact.inputs, evaluation.steps):
        rows = (start, stop - start)
        sent = [
            _zeros(spec, stop - start)
            if spec.from_output is not None
            else _values(bundle, inputs[spec.name], *rows)
            for spec in placed.artifact.inputs
        ]
        expected = [_values(bundle, tensor, *rows) for tensor in outputs]
        _add(progress, bundle, expected, _outputs(bench, placed, sent), *rows)
        on_samples(stop)
    return progress.result(data_sha256=_data_sha256(evaluation, samples))


def rehearse(bundle: Bundle) -> None:
    """Score what the build host's first artifact answered to the first samples: what the task does
    not have on this machine, and targets that do not suit it, are found out before anything is
    measured. Raises UsageError."""
    evaluation, artifact = require_evaluation(bundle), bundle.manifest.artifacts[0]
    rows = (0, whole_series(evaluation, 1))
    outputs = matched(evaluation.outputs[artifact.key], artifact.outputs)
    expected = [_values(bundle, tensor, *rows) for tensor in outputs]
    returned = [values.reshape(rows[1], -1).astype(np.float64) for values in expected]
    with naming_extras():
        specs = _outputs_at_sizes(artifact.outputs, outputs)
        progress = _Progress(task_of(bundle), specs, evaluation.steps)
        _add(progress, bundle, expected, returned, *rows)


def _add(
    progress: _Progress,
    bundle: Bundle,
    expected: Sequence[NDArray[Any]],
    returned: Sequence[NDArray[np.float64]],
    first: int,
    count: int,
) -> None:
    """Score a chunk against the targets of the set. Raises UsageError: they do not suit."""
    evaluation = require_evaluation(bundle)
    targets = _values(bundle, evaluation.targets, first, count) if evaluation.targets else None
    try:
        progress.add(expected, returned, targets)
    except ModelError as error:
        raise UsageError(
            f"{bundle.path}: the evaluation set: {error.message}",
            hint=error.hint or "build the bundle again",
        ) from None


def _at_sizes(
    artifact: Artifact, inputs: Mapping[str, EvaluationTensor], outputs: Sequence[EvaluationTensor]
) -> Artifact:
    """An artifact as it is called with the samples of the set, where its sizes are dynamic."""
    return artifact.model_copy(
        update={
            "inputs": tuple(
                _at_size(spec, inputs[spec.name]) if spec.dynamic else spec
                for spec in artifact.inputs
            ),
            "outputs": _outputs_at_sizes(artifact.outputs, outputs),
        }
    )


def _outputs_at_sizes(
    specs: Sequence[TensorSpec], tensors: Sequence[EvaluationTensor]
) -> tuple[TensorSpec, ...]:
    pairs = zip(specs, tensors, strict=True)
    return tuple(_at_size(spec, tensor) if spec.dynamic else spec for spec, tensor in pairs)


def _at_size(spec: TensorSpec, tensor: EvaluationTensor) -> TensorSpec:
    return spec.model_copy(update={"shape": (1, *tensor.shape)})


def _data_inputs(
    evaluation: Evaluation, specs: Sequence[TensorSpec]
) -> dict[str, EvaluationTensor]:
    """The tensors of the set by the names of an artifact's inputs, without its states."""
    fed = [spec for spec in specs if spec.from_output is None]
    tensors = matched(evaluation.inputs, fed)
    return {spec.name: tensor for spec, tensor in zip(fed, tensors, strict=True)}


def matched(
    tensors: Sequence[EvaluationTensor], specs: Sequence[TensorSpec]
) -> tuple[EvaluationTensor, ...]:
    """The tensors in the order of an artifact's own, by name. A single one needs no name: runtimes
    rename tensors.

    Raises UsageError when a name is missing."""
    if len(tensors) == len(specs) == 1:
        return tuple(tensors)
    by_name = {tensor.name: tensor for tensor in tensors}
    missing = [spec.name for spec in specs if spec.name not in by_name]
    if missing:
        raise UsageError(
            f"the evaluation set has no tensor {missing[0]!r}: it has {', '.join(by_name)}",
            hint="build the bundle again",
        )
    return tuple(by_name[spec.name] for spec in specs)


def _values(bundle: Bundle, tensor: EvaluationTensor, first: int, count: int) -> NDArray[Any]:
    """`count` samples of a tensor from the sample `first` on, of shape (count, *shape)."""
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    elements = math.prod(tensor.shape)
    values = np.fromfile(
        bundle.file(tensor.file),
        dtype=dtype,
        count=count * elements,
        offset=first * elements * dtype.itemsize,
    )
    return values.reshape(count, *tensor.shape)


def _zeros(state: TensorSpec, count: int) -> NDArray[np.float32]:
    """A state at the start of `count` series."""
    return np.zeros((count, *state.shape[1:]), np.float32)


def _data_sha256(evaluation: Evaluation, samples: int) -> str:
    """Which samples and targets were evaluated; empty without targets."""
    if evaluation.targets is None:
        return ""
    files = [*(tensor.file for tensor in evaluation.inputs), evaluation.targets.file]
    text = " ".join([*(file.sha256 for file in files), str(samples)])
    return hashlib.sha256(text.encode()).hexdigest()


def _chunks(samples: int, inputs: Sequence[TensorSpec], steps: int) -> Iterator[tuple[int, int]]:
    """Bounds of chunks of at most CHUNK_BYTES and CHUNK_SAMPLES, or of one series."""
    each = sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in inputs)
    series = max(1, min(CHUNK_SAMPLES, CHUNK_BYTES // max(1, each)) // steps)
    for start in range(0, samples, series * steps):
        yield start, min(samples, start + series * steps)


def _outputs(
    bench: Bench, placed: Placed, inputs: Sequence[NDArray[Any]]
) -> list[NDArray[np.float64]]:
    """Real outputs of a chunk, one array (samples, elements) for each, from one process."""
    count, device, artifact = len(inputs[0]), bench.device, placed.artifact
    chunk = replace(placed, inputs=f"{placed.outputs}.inputs", samples=count)
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory) / "chunk.bin"
        local.write_bytes(_packed(inputs, artifact.inputs))
        device.push(local, chunk.inputs)
        try:
            run = bench.run(chunk, "evaluate", bench.settings, f"evaluation of {count} samples").run
        finally:
            device.run(["rm", "-f", chunk.inputs], timeout_s=bench.target.timeouts.connect_seconds)
        size = count * sum(
            math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in artifact.outputs
        )
        written = run.output_file
        if written is None or (written.samples, written.bytes) != (count, size):
            raise ResultError(
                f"{device.name}: {artifact.key}: the runner wrote outputs of another size than"
                f" {count} samples have"
            )
        device.pull(chunk.outputs, local, max_bytes=size)
        values = real_values(local.read_bytes(), artifact.outputs, count)
    if not all(np.isfinite(array).all() for array in values):
        raise ResultError(
            f"{device.name}: {artifact.key}: an output on the evaluation set is NaN or infinite",
            hint="compare with the build host",
        )
    return values


def _packed(inputs: Sequence[NDArray[Any]], specs: Sequence[TensorSpec]) -> bytes:
    """Samples one after the other, each with all its tensors, in the artifact's own types."""
    rows = [
        quantize(values, spec).reshape(len(values), -1)
        for values, spec in zip(inputs, specs, strict=True)
    ]
    if len(rows) == 1:
        return rows[0].tobytes()
    return np.concatenate([np.ascontiguousarray(row).view(np.uint8) for row in rows], 1).tobytes()


class _Progress:
    """What is known of the samples so far."""

    def __init__(self, task: Task, specs: Sequence[TensorSpec], steps: int) -> None:
        self._task = task
        self._shapes = {spec.name: tuple(spec.shape[1:]) for spec in specs}
        self._scores, self._agreement = Scores(task, steps), Agreement(task)
        self._samples = 0
        self._signal = self._noise = self._largest_error = 0.0

    def add(
        self,
        expected: Sequence[NDArray[Any]],
        returned: Sequence[NDArray[np.float64]],
        targets: NDArray[Any] | None,
    ) -> None:
        """Expected and returned outputs of a chunk. Raises ModelError for targets that do not suit
        the model."""
        self._samples += len(returned[0])
        on_host, on_device = self._named(expected), self._named(returned)
        for name, values in on_device.items():
            error = on_host[name] - values
            self._largest_error = max(self._largest_error, float(np.abs(error).max(initial=0.0)))
            self._signal += float(np.sum(on_host[name] ** 2))
            self._noise += float(np.sum(error**2))
        self._agreement.add(on_host, on_device)
        if targets is not None:
            self._scores.add(on_device, targets)

    def _named(self, arrays: Sequence[NDArray[Any]]) -> Outputs:
        """Arrays by the names of the outputs, each of shape (samples, …), in 64 bits."""
        return {
            name: np.asarray(values, dtype=np.float64).reshape(-1, *shape)
            for (name, shape), values in zip(self._shapes.items(), arrays, strict=True)
        }

    def result(self, *, data_sha256: str) -> DeviceEvaluation:
        noise = decibels(self._signal, self._noise)
        metrics: tuple[MetricValue, ...] = self._scores.metrics(keep_samples=True)
        return DeviceEvaluation(
            samples=self._samples,
            metrics=metrics,
            agreement_percent=self._agreement.percent,
            max_abs_error=self._largest_error,
            snr_db=None if noise == math.inf else max(-MOST_DB, noise),
            data_sha256=data_sha256,
        )
