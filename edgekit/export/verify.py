"""Whether an artifact is the model it came from: its outputs against eager PyTorch, with
thresholds, and the task's metrics on the whole test set.

Owns the comparison and the reference files. How an artifact is run is host.py's; what its file
holds is proof.py's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.bundle.tensors import quantize
from edgekit.errors import ExportError
from edgekit.export.host_runtime import HostModel
from edgekit.metrics import MetricValue
from edgekit.stats import Fidelity, fidelity
from edgekit.tasks.scoring import Scores, agreement_percent
from edgekit.tasks.task import Task

Outputs = NDArray[np.float32]

CHUNK = 64
KEPT_OUTPUT_BYTES = 256 << 20
"""Outputs on the test set are kept up to this size; of dense predictions only the first samples'
are."""


class EvaluationSet(Protocol):
    """Samples as the model sees them: `at` gives each input as (B, *sample); `targets` are int64
    (N,) or None."""

    @property
    def targets(self) -> Tensor | None: ...

    def __len__(self) -> int: ...

    def at(self, index: slice) -> Mapping[str, Tensor]: ...


@dataclass(frozen=True)
class Thresholds:
    """What an artifact must reach on `samples` test samples. `max_abs_error` None means any."""

    samples: int = 64
    snr_min_db: float = 20.0
    cosine_min: float = 0.99
    max_abs_error: float | None = None
    agreement_min_percent: float = 98.0


@dataclass(frozen=True)
class OutputAgreement:
    """Outputs of an artifact on `samples` samples against those of its reference, and how far the
    answers agree in percent: None where the task does not say."""

    samples: int
    outputs: Fidelity
    answers_percent: float | None
    answers_label: str


def compare(reference: Outputs, outputs: Outputs, task: Task) -> OutputAgreement:
    """Compare outputs (N, …), over all values."""
    answers = agreement_percent(task, {"output": reference}, {"output": outputs})
    return OutputAgreement(
        len(reference), fidelity(reference, outputs), answers, task.agreement_label
    )


def require(agreement: OutputAgreement, thresholds: Thresholds) -> None:
    """Raises ExportError naming every threshold that is missed, with what was measured."""
    missed = []
    outputs, percent = agreement.outputs, agreement.answers_percent
    if not outputs.finite:
        missed.append("NaN or infinity in the outputs")
    if outputs.snr_db is not None and outputs.snr_db < thresholds.snr_min_db:
        missed.append(f"SNR {outputs.snr_db:.1f} dB < {thresholds.snr_min_db:g} dB")
    if outputs.cosine < thresholds.cosine_min:
        missed.append(f"cosine {outputs.cosine:.4f} < {thresholds.cosine_min:g}")
    if thresholds.max_abs_error is not None and outputs.max_abs_error > thresholds.max_abs_error:
        missed.append(f"largest error {outputs.max_abs_error:.4g} > {thresholds.max_abs_error:g}")
    if percent is not None and percent < thresholds.agreement_min_percent:
        least = f"{thresholds.agreement_min_percent:g} %"
        missed.append(f"{agreement.answers_label} on {percent:.1f} % < {least}")
    if missed:
        raise ExportError(
            f"the artifact differs from eager PyTorch on {agreement.samples} test samples:"
            f" {', '.join(missed)}",
            hint=(
                "nothing was published; if this much loss is meant, relax the recipe's verify"
                " section"
            ),
            details={"missed": missed},
        )


def eager_outputs(model: nn.Module, samples: Tensor) -> Outputs:
    """Outputs (N, …) of the eager reference, in batches."""
    with torch.no_grad():
        return (
            torch.cat([model(batch) for batch in samples.split(CHUNK)]).numpy().astype(np.float32)
        )


def evaluate(
    model: HostModel, test: EvaluationSet, task: Task
) -> tuple[Outputs, tuple[MetricValue, ...]]:
    """Run every test sample, one inference each. Gives the outputs, as many as are kept, and the
    task's metrics on all samples, none without targets.

    Raises ExportError when an output is not finite. Raises ModelError for targets that do not suit
    the model.
    """
    kept: list[Outputs] = []
    scores, room = Scores(task), KEPT_OUTPUT_BYTES
    targets = None if test.targets is None else test.targets.numpy()
    for start, outputs in _chunks(model, test):
        if not np.isfinite(outputs).all():
            raise ExportError(
                f"the artifact returns NaN or infinity on a test sample from {start} on",
                hint="nothing was published",
            )
        if targets is not None:
            answered = targets[start : start + len(outputs)]
            task.check_targets(answered, {"output": outputs.shape[1:]})
            scores.add({"output": outputs}, answered)
        if room >= outputs.nbytes or not kept:
            kept.append(outputs)
            room -= outputs.nbytes
    return np.concatenate(kept), scores.metrics()


def _chunks(model: HostModel, test: EvaluationSet) -> Iterator[tuple[int, Outputs]]:
    for start in range(0, len(test), CHUNK):
        [samples] = test.at(slice(start, min(start + CHUNK, len(test)))).values()
        yield start, model(samples.numpy())


def reference_bytes(model: HostModel, samples: Outputs) -> tuple[bytes, bytes]:
    """Inputs and this artifact's outputs for them, as raw little-endian bytes in the artifact's own
    types, sample after sample."""
    inputs = quantize(samples, model.input)
    outputs = [model.run(inputs[index : index + 1]) for index in range(len(inputs))]
    return inputs.tobytes(), b"".join(output.tobytes() for output in outputs)
