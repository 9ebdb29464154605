"""Accuracy of an artifact on a device: the bundle's evaluation set, sent in chunks, run, fetched
and counted. Needs neither torch nor the data.

Owns the stream and the counting. What the set is, is evaluation.py's; how one process runs,
passes.py's."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Bundle, Evaluation, File
from edgekit.bundle.tensors import dequantize, quantize
from edgekit.errors import ResultError, UsageError
from edgekit.measure.extra_results import Accuracy
from edgekit.measure.extra_runs import Bench
from edgekit.measure.runner_process import Placed

CHUNK_BYTES = 8 << 20
CHUNK_SAMPLES = 1000
TOP = 5

Reals = NDArray[np.float64]


def require_evaluation(bundle: Bundle) -> Evaluation:
    """The evaluation set of a bundle. Raises UsageError: it has none, or an artifact takes or gives
    more than one tensor."""
    if bundle.manifest.evaluation is None:
        hint = (
            "set export.evaluation_set in the recipe to the number of samples wanted, and build"
            " again"
        )
        raise UsageError(f"{bundle.path}: the bundle holds no evaluation set", hint=hint)
    for artifact in bundle.manifest.artifacts:
        if (
            len(artifact.inputs) != 1
            or len(artifact.outputs) != 1
            or artifact.key not in bundle.manifest.evaluation.outputs
        ):
            raise UsageError(
                f"{bundle.path}: {artifact.key} has no outputs in the evaluation set",
                hint="build the bundle again",
            )
    return bundle.manifest.evaluation


def accuracy(
    bench: Bench,
    placed: Placed,
    bundle: Bundle,
    samples: int,
    *,
    told: Callable[[int], None] = lambda done: None,
) -> Accuracy:
    """Run the first `samples` samples of the evaluation set (at most all). `told` hears how many
    are done.

    Raises what `Bench.run` raises; ResultError for outputs of a wrong size or with NaN.
    """
    held = require_evaluation(bundle)
    samples = min(samples, held.samples)
    labels = (
        None
        if held.labels is None
        else np.fromfile(bundle.file(held.labels), dtype="<i4", count=samples)
    )
    inputs = np.fromfile(
        bundle.file(held.inputs), dtype="<f4", count=samples * math.prod(held.shape)
    ).reshape(samples, *held.shape)
    classes = math.prod(placed.artifact.outputs[0].shape)
    if labels is not None and not (labels.min() >= 0 and labels.max() < classes):
        raise UsageError(
            f"{bundle.path}: a label of the evaluation set is none of the model's {classes}"
            " classes",
            hint="build the bundle again",
        )
    expected = (
        np.fromfile(bundle.file(held.outputs[placed.artifact.key]), dtype="<f4")
        .reshape(held.samples, -1)[:samples]
        .astype(np.float64)
    )
    count = _Count()
    for start, stop in _chunks(samples, placed):
        found = _outputs(bench, placed, inputs[start:stop])
        count.add(expected[start:stop], found, None if labels is None else labels[start:stop])
        told(stop)
    return count.result(
        None if held.labels is None else _data_sha256(held.inputs, held.labels, samples)
    )


def _data_sha256(inputs: File, labels: File, samples: int) -> str:
    return hashlib.sha256(f"{inputs.sha256} {labels.sha256} {samples}".encode()).hexdigest()


def _chunks(samples: int, placed: Placed) -> Iterator[tuple[int, int]]:
    """Bounds of chunks of at most CHUNK_BYTES and CHUNK_SAMPLES."""
    [spec] = placed.artifact.inputs
    each = max(1, math.prod(spec.shape) * np.dtype(spec.dtype).itemsize)
    step = max(1, min(CHUNK_SAMPLES, CHUNK_BYTES // each))
    for start in range(0, samples, step):
        yield start, min(samples, start + step)


def _outputs(bench: Bench, placed: Placed, inputs: NDArray[np.float32]) -> Reals:
    """Real outputs (samples, values) of a chunk, one process."""
    count, [spec], device = len(inputs), placed.artifact.inputs, bench.device
    chunk = replace(placed, inputs=f"{placed.outputs}.inputs", samples=count)
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory) / "chunk.bin"
        local.write_bytes(quantize(inputs, spec).tobytes())
        device.push(local, chunk.inputs)
        try:
            run = bench.run(chunk, "evaluate", bench.settings, f"accuracy of {count} samples").run
        finally:
            device.run(["rm", "-f", chunk.inputs], timeout_s=bench.target.timeouts.connect_seconds)
        [output] = placed.artifact.outputs
        size = count * math.prod(output.shape) * np.dtype(output.dtype).itemsize
        if run.output_file is None or (run.output_file.samples, run.output_file.bytes) != (
            count,
            size,
        ):
            raise ResultError(
                f"{device.name}: {placed.artifact.key}: the runner wrote outputs of another size"
                f" than {count} samples have"
            )
        device.pull(chunk.outputs, local, max_bytes=size)
        raw = np.frombuffer(local.read_bytes(), dtype=np.dtype(output.dtype).newbyteorder("<"))
        if raw.nbytes != size:
            raise ResultError(
                f"{device.name}: {placed.artifact.key}: the file of outputs holds {raw.nbytes}"
                f" bytes, expected {size}"
            )
    values = dequantize(raw.reshape(count, -1), output).astype(
        np.float64
    )  # as on the build host, to the last bit
    if not np.isfinite(values).all():
        raise ResultError(
            f"{device.name}: {placed.artifact.key}: an output on the evaluation set is NaN or"
            " infinite",
            hint="compare with the build host",
        )
    return values


class _Count:
    """What is known of the samples so far."""

    def __init__(self) -> None:
        self.samples = self.top1 = self.top5 = self.same = self.classes = 0
        self.labelled = False
        self.signal = self.noise = self.worst = 0.0
        self.right: list[NDArray[np.bool_]] = []

    def add(self, expected: Reals, found: Reals, labels: NDArray[np.int32] | None) -> None:
        self.samples, self.classes = self.samples + len(found), found.shape[1]
        error = expected - found
        self.worst = max(self.worst, float(np.abs(error).max(initial=0.0)))
        self.signal, self.noise = (
            self.signal + float(np.sum(expected**2)),
            self.noise + float(np.sum(error**2)),
        )
        self.same += int((expected.argmax(1) == found.argmax(1)).sum())
        if labels is not None:
            self.labelled = True
            # How many values beat the label's: ties are broken by position, as argmax breaks them.
            own = found[np.arange(len(found)), labels][:, None]
            before = np.arange(self.classes)[None, :] < labels[:, None]
            rank = (found > own).sum(1) + ((found == own) & before).sum(1)
            self.right.append(rank == 0)
            self.top1 += int((rank == 0).sum())
            self.top5 += int((rank < TOP).sum())

    def result(self, data_sha256: str | None) -> Accuracy:
        classes = self.classes > 1
        return Accuracy(
            samples=self.samples,
            top1_correct=self.top1 if self.labelled and classes else None,
            top5_correct=self.top5 if self.labelled and self.classes > TOP else None,
            same_top1=self.same if classes else None,
            max_abs_error=self.worst,
            snr_db=(
                None if self.noise == 0 else 10 * math.log10(max(self.signal, 1e-300) / self.noise)
            ),
            right=Accuracy.bits(np.concatenate(self.right)) if self.labelled and classes else "",
            data_sha256=data_sha256 or "",
        )
