"""Whether an artifact is the model it came from: its outputs against eager PyTorch, with
thresholds, and its predictions on the whole test set.

Owns the comparison and the reference files. How an artifact is run is host.py's; what its file
holds is proof.py's."""

from __future__ import annotations

import math
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
class Agreement:
    """Outputs of an artifact against those of its reference; `snr_db` is None when they are equal,
    `top1_agreement_percent` where there are no classes."""

    samples: int
    max_abs_error: float
    snr_db: float | None
    cosine: float
    top1_agreement_percent: float | None


def compare(reference: Outputs, outputs: Outputs) -> Agreement:
    """Compare outputs (N, …). SNR = 10·log10(Σ reference² / Σ (reference − output)²), over all
    values; cosine likewise."""
    expected, given = reference.astype(np.float64).ravel(), outputs.astype(np.float64).ravel()
    error = expected - given
    noise, signal = float(error @ error), float(expected @ expected)
    norms = math.sqrt(signal * float(given @ given))
    classes = reference.ndim == 2 and reference.shape[1] > 1
    return Agreement(
        samples=len(reference),
        max_abs_error=float(np.abs(error).max()),
        snr_db=(
            None if noise == 0 else 10 * math.log10(max(signal, np.finfo(np.float64).tiny) / noise)
        ),
        cosine=float(expected @ given) / norms if norms else float(noise == 0),
        top1_agreement_percent=(
            100 * float((reference.argmax(1) == outputs.argmax(1)).mean()) if classes else None
        ),
    )


def require(agreement: Agreement, thresholds: Thresholds) -> None:
    """Raises ExportError naming every threshold that is missed, with what was measured."""
    missed = []
    if agreement.snr_db is not None and agreement.snr_db < thresholds.snr_min_db:
        missed.append(f"SNR {agreement.snr_db:.1f} dB < {thresholds.snr_min_db:g} dB")
    if agreement.cosine < thresholds.cosine_min:
        missed.append(f"cosine {agreement.cosine:.4f} < {thresholds.cosine_min:g}")
    if thresholds.max_abs_error is not None and agreement.max_abs_error > thresholds.max_abs_error:
        missed.append(f"largest error {agreement.max_abs_error:.4g} > {thresholds.max_abs_error:g}")
    percent = agreement.top1_agreement_percent
    if percent is not None and percent < thresholds.agreement_min_percent:
        missed.append(f"top-1 agreement {percent:.1f} % < {thresholds.agreement_min_percent:g} %")
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


def artifact_outputs(
    model: HostModel, test: EvaluationSet
) -> tuple[Outputs, NDArray[np.int64] | None]:
    """Run every test sample, one inference each. Gives the outputs, as many as are kept, and all
    top classes where there are classes.

    Raises ExportError when an output is not finite.
    """
    kept: list[Outputs] = []
    classes: list[NDArray[np.int64]] = []
    room = KEPT_OUTPUT_BYTES
    for start, outputs in _chunks(model, test):
        if not np.isfinite(outputs).all():
            raise ExportError(
                f"the artifact returns NaN or infinity on a test sample from {start} on",
                hint="nothing was published",
            )
        if outputs.ndim == 2 and outputs.shape[1] > 1:
            classes.append(outputs.argmax(1))
        if room >= outputs.nbytes or not kept:
            kept.append(outputs)
            room -= outputs.nbytes
    return np.concatenate(kept), np.concatenate(classes) if classes else None


def _chunks(model: HostModel, test: EvaluationSet) -> Iterator[tuple[int, Outputs]]:
    for start in range(0, len(test), CHUNK):
        [samples] = test.at(slice(start, min(start + CHUNK, len(test)))).values()
        yield start, model(samples.numpy())


def top1_correct(classes: NDArray[np.int64] | None, labels: Tensor | None) -> int | None:
    """Correct answers, or None without classes or labels."""
    return None if classes is None or labels is None else int((classes == labels.numpy()).sum())


def reference_bytes(model: HostModel, samples: Outputs) -> tuple[bytes, bytes]:
    """Inputs and this artifact's outputs for them, as raw little-endian bytes in the artifact's own
    types, sample after sample."""
    inputs = quantize(samples, model.input)
    outputs = [model.run(inputs[index : index + 1]) for index in range(len(inputs))]
    return inputs.tobytes(), b"".join(output.tobytes() for output in outputs)
