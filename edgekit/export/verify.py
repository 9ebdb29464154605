"""Whether an artifact is the model it came from: its outputs against eager PyTorch, with
thresholds, and the task's metrics on the whole test set.

Owns the comparison and the reference files. How an artifact is run is its backend's; what its file
holds is proved by the backend too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.backends.host_model import Arrays, HostModel, length, rows, sample_bytes, zeros
from edgekit.data.dataset import Split, in_turn, normalise, series_steps
from edgekit.errors import ExportError
from edgekit.metrics import MetricValue
from edgekit.models.calling import call
from edgekit.states import STATELESS, States, stepped
from edgekit.stats import Fidelity, fidelity
from edgekit.tasks.scoring import Scores, agreement_percent
from edgekit.tasks.task import Task

CHUNK = 64
REFERENCE_SAMPLES = 8
KEPT_OUTPUT_BYTES = 256 << 20
"""Outputs on the test set are kept up to this size; of dense predictions only the first samples'
are."""


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
    """Outputs of an artifact on `samples` samples against those of its reference.

    `outputs` compares the real ones by name; `equal_percent` says of the others, integers and truth
    values, how many are equal. `answers_percent` is how far the answers agree: None where the task
    does not say."""

    samples: int
    outputs: Mapping[str, Fidelity]
    equal_percent: Mapping[str, float]
    answers_percent: float | None
    answers_label: str

    @property
    def max_abs_error(self) -> float:
        """The largest of all real outputs."""
        return max((each.max_abs_error for each in self.outputs.values()), default=0.0)

    @property
    def snr_db(self) -> float | None:
        """The worst of all real outputs; None when all are equal."""
        ratios = [each.snr_db for each in self.outputs.values() if each.snr_db is not None]
        return min(ratios, default=None)

    @property
    def cosine(self) -> float:
        """The worst of all real outputs."""
        return min((each.cosine for each in self.outputs.values()), default=1.0)


def compare(reference: Arrays, outputs: Arrays, task: Task | None) -> OutputAgreement:
    """Compare outputs of shape (N, …), each by its name and over all its values; without a task, as
    numbers alone."""
    real = {name: values for name, values in reference.items() if values.dtype.kind == "f"}
    return OutputAgreement(
        samples=length(reference),
        outputs={name: fidelity(values, outputs[name]) for name, values in real.items()},
        equal_percent={
            name: 100 * float((values == outputs[name]).mean())
            for name, values in reference.items()
            if name not in real
        },
        answers_percent=agreement_percent(task, reference, outputs) if task else None,
        answers_label=task.agreement_label if task else "",
    )


def require(agreement: OutputAgreement, thresholds: Thresholds) -> None:
    """Raises ExportError naming every threshold that is missed, with what was measured."""
    several = len(agreement.outputs) + len(agreement.equal_percent) > 1
    missed = [
        f"output {name}: {problem}" if several else problem
        for name, problem in _problems(agreement, thresholds)
    ]
    percent = agreement.answers_percent
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


def _problems(agreement: OutputAgreement, thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    """What is wrong with each output, by its name."""
    for name, output in agreement.outputs.items():
        for problem in _missed(output, thresholds):
            yield name, problem
    smallest = thresholds.agreement_min_percent
    for name, percent in agreement.equal_percent.items():
        if percent < smallest:
            yield name, f"{percent:.1f} % of its integers are equal < {smallest:g} %"


def _missed(output: Fidelity, thresholds: Thresholds) -> Iterator[str]:
    if not output.finite:
        yield "NaN or infinity in the outputs"
    if output.snr_db is not None and output.snr_db < thresholds.snr_min_db:
        yield f"SNR {output.snr_db:.1f} dB < {thresholds.snr_min_db:g} dB"
    if output.cosine < thresholds.cosine_min:
        yield f"cosine {output.cosine:.4f} < {thresholds.cosine_min:g}"
    limit = thresholds.max_abs_error
    if limit is not None and output.max_abs_error > limit:
        yield f"largest error {output.max_abs_error:.4g} > {limit:g}"


def eager_outputs(
    model: nn.Module, samples: Mapping[str, Tensor], states: States = STATELESS
) -> Arrays:
    """Outputs (N, …) of the eager reference by name, in batches; of series (N·steps, …). Floats
    become float32."""
    batches: list[dict[str, Tensor]] = []
    count = len(next(iter(samples.values())))
    with torch.no_grad():
        for start in range(0, count, CHUNK):
            chunk = {name: values[start : start + CHUNK] for name, values in samples.items()}
            batches.append(call(model, chunk, states))
    return {name: _array(torch.cat([batch[name] for batch in batches])) for name in batches[0]}


def _array(values: Tensor) -> NDArray[Any]:
    array = values.numpy()
    return array.astype(np.float32) if array.dtype.kind == "f" else array


@dataclass(frozen=True)
class HostEvaluation:
    """An artifact on the test set: its outputs by name, as many as are kept; the task's metrics on
    all samples with the material of each, none without targets; and a hash that tells this test set
    from others, empty without targets."""

    outputs: Arrays
    metrics: tuple[MetricValue, ...]
    data_sha256: str


def evaluate(model: HostModel, test: Split, task: Task) -> HostEvaluation:
    """Run every test sample, one inference each, or one for each step of a series.

    Raises ExportError when an output is not finite. Raises ModelError for targets that do not suit
    the model.
    """
    chunks: list[Arrays] = []
    scores, room = Scores(task, series_steps(test)), KEPT_OUTPUT_BYTES
    data, start = hashlib.sha256(), 0
    for batch in test.batches(in_turn(len(test), CHUNK)):
        samples = normalise(batch.inputs, test.specs)
        outputs = model({name: values.numpy() for name, values in samples.items()}, test.states)
        if not all(np.isfinite(values).all() for values in outputs.values()):
            raise ExportError(
                f"the artifact returns NaN or infinity on a test sample from {start} on",
                hint="nothing was published",
            )
        if batch.targets is not None:
            targets = batch.targets.numpy()
            scores.add(outputs, targets)
            # Of large data, all inputs would take longer to hash than to run.
            for values in (*(each[:1].numpy() for each in batch.inputs.values()), targets):
                data.update(np.ascontiguousarray(values).tobytes())
        size = sum(values.nbytes for values in outputs.values())
        if room >= size or not chunks:
            chunks.append(outputs)
            room -= size
        start += length(outputs)
    joined = {name: np.concatenate([each[name] for each in chunks]) for name in chunks[0]}
    metrics = scores.metrics(keep_samples=True)
    return HostEvaluation(joined, metrics, data.hexdigest() if metrics else "")


def reference_calls(
    model: HostModel, samples: Mapping[str, Tensor], states: States, most: int
) -> Arrays:
    """What the model takes in the inferences that are kept as its reference, of shape (N, …): the
    first samples, or the first steps of the first series with the states that they start from."""
    count = min(REFERENCE_SAMPLES, most)
    if not states:
        return {name: values[:count].numpy() for name, values in samples.items()}
    series = {name: values[:1, :count].numpy() for name, values in samples.items()}
    calls = [inputs for inputs, _ in stepped(model, series, states, states.start(1, zeros))]
    return {name: np.concatenate([each[name] for each in calls]) for name in calls[0]}


def reference_bytes(model: HostModel, samples: Mapping[str, NDArray[Any]]) -> tuple[bytes, bytes]:
    """Inputs and this artifact's outputs for them, as raw little-endian bytes in the artifact's own
    types and order, sample after sample."""
    own = model.prepared(samples)
    inputs = [rows(own, index) for index in range(length(own))]
    outputs = [model.run(sample) for sample in inputs]
    return (
        b"".join(sample_bytes(sample, model.inputs) for sample in inputs),
        b"".join(sample_bytes(sample, model.outputs) for sample in outputs),
    )
