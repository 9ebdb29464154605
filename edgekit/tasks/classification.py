"""One of several classes for each sample. The first output holds the scores, of shape (samples,
classes); targets are class numbers from 0 on, of shape (samples,)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.pictures import Classes, ClassShare, CountTable, Marks
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.sample_steps.decoding.scores import softmax
from edgekit.tasks.classification_names import TOP1_NAME, TOP5_NAME
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.drawing import Size
from edgekit.tasks.outputs import confusion, first
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor

TOP1 = MetricKind(
    name=TOP1_NAME,
    label="top-1",
    unit="%",
    higher_is_better=True,
    statistic="proportion",
    gate_margin=1.0,
)
TOP5 = MetricKind(
    name=TOP5_NAME,
    label="top-5",
    unit="%",
    higher_is_better=True,
    statistic="proportion",
    gate_margin=1.0,
)
BALANCED = MetricKind(
    name="balanced_accuracy",
    label="balanced accuracy",
    unit="%",
    higher_is_better=True,
    statistic="class_mean",
    gate_margin=1.0,
)
WORST = MetricKind(
    name="worst_class_recall",
    label="worst class",
    unit="%",
    higher_is_better=True,
    statistic="class_min",
    gate_margin=5.0,
)
BEST = 5
LIKELIEST = 3
"""Classes that are drawn of an answer."""


@dataclass(frozen=True)
class Classification:
    """See edgekit.tasks.task.Task, NamesDecoding in edgekit.tasks.decoding, and Draws and
    CountsAnswers in edgekit.tasks.drawing."""

    metrics: tuple[MetricKind, ...] = (TOP1, TOP5, BALANCED, WORST)
    agreement_label: str = "same top-1"
    error_label: str = "loss"

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """Cross entropy. Targets are class numbers or probabilities of shape (samples, classes)."""
        from torch.nn import functional

        scores = first(outputs)
        _check_classes(scores.shape, _classes_needed(targets))
        if targets.ndim == 2:  # of mixed samples; the model may know classes the data has not
            targets = functional.pad(targets, (0, scores.shape[1] - targets.shape[1]))
        return functional.cross_entropy(scores, targets, label_smoothing=label_smoothing)

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """KL divergence of the two softened class distributions, times T² so that its gradients
        keep their size (Hinton et al. 2015, arXiv:1503.02531)."""
        from torch.nn import functional

        scores, taught = first(student), first(teacher)
        if taught.shape != scores.shape:
            raise ModelError(
                f"the teacher returns {tuple(taught.shape)} where the model returns"
                f" {tuple(scores.shape)}",
                hint="both need the same classes",
            )
        return (
            functional.kl_div(
                functional.log_softmax(scores / temperature, dim=1),
                functional.log_softmax(taught / temperature, dim=1),
                reduction="batchmean",
                log_target=True,
            )
            * temperature**2
        )

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Class numbers, and those that the model has an output for. Outputs that are no scores of
        classes fit any, as they are not scored."""
        if targets.ndim != 1 or targets.dtype.kind not in "iu" or targets.min(initial=0) < 0:
            raise ModelError(
                "targets must be one class number from 0 on for each sample",
                hint="give whole numbers of shape (samples,)",
            )
        if not outputs:
            return
        shape = (len(targets), *first(outputs))
        if _has_classes(shape):
            _check_classes(shape, _classes_needed(targets))

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        """One for each score; None where the outputs are no scores of classes."""
        shape = (1, *first(outputs))
        return shape[1] if _has_classes(shape) else None

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Whether the right class is the first, and one of the first five of more; the first by
        class, where a class that collapses shows."""
        scores = first(outputs)
        if not _has_classes(scores.shape):
            return {}
        classes = scores.shape[1]
        # How many classes beat the right one: ties are broken by position, as argmax does.
        own = scores[np.arange(len(scores)), targets][:, None]
        before = np.arange(classes)[None, :] < np.asarray(targets)[:, None]
        rank = (scores > own).sum(1) + ((scores == own) & before).sum(1)
        by_class = np.stack([targets, rank == 0], axis=1)
        values = {TOP1.name: rank == 0, BALANCED.name: by_class, WORST.name: by_class}
        if classes > BEST:
            values[TOP5.name] = rank < BEST
        return values

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """1 where the top class is the same."""
        scores, other_scores = first(outputs), first(others)
        if not _has_classes(scores.shape):
            return None
        return np.asarray(scores.argmax(1) == other_scores.argmax(1), dtype=np.float64)

    @property
    def decoding(self) -> Decoding:
        return Decoding("top_classes")

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        """The likeliest classes; nothing where the outputs are no scores of classes."""
        scores = first(outputs)
        return (
            [_likeliest(sample) for sample in softmax(scores)] if _has_classes(scores.shape) else []
        )

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        return [Classes(classes=(ClassShare(label=label),)) for label in targets.tolist()]

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The cross entropy of each sample."""
        likely = softmax(first(outputs))[np.arange(len(targets)), targets]
        return np.asarray(-np.log(np.maximum(likely, np.finfo(np.float64).tiny)))

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        """The confusion of the classes."""
        scores = first(outputs)
        return (
            confusion(targets, scores.argmax(1), scores.shape[1])
            if _has_classes(scores.shape)
            else None
        )


CLASSIFICATION = Classification()


def _likeliest(likely: NDArray[np.float64]) -> Classes:
    best = np.argsort(-likely, kind="stable")[:LIKELIEST]
    return Classes(
        classes=tuple(
            ClassShare(label=label, share=share)
            for label, share in zip(best.tolist(), likely[best].tolist(), strict=True)
        )
    )


def _has_classes(shape: tuple[int, ...]) -> bool:
    """Whether outputs are scores of classes: dense outputs, and single numbers, are not."""
    return len(shape) == 2 and shape[1] > 1


def _classes_needed(targets: Any) -> int:
    """How many classes targets are of: class numbers, or one probability for each class."""
    return int(targets.shape[1]) if targets.ndim == 2 else int(targets.max()) + 1


def _check_classes(shape: tuple[int, ...], needed: int) -> None:
    if len(shape) != 2:
        raise ModelError(f"the model returns {tuple(shape)}; a classifier returns (batch, classes)")
    if needed > shape[1]:
        raise ModelError(
            f"the data has class {needed - 1}, but the model only {shape[1]} outputs",
            hint="set num_classes in model.args",
        )
