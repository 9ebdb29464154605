"""Any number of several classes for each sample. The first output holds one score for each class,
a logit, of shape (samples, classes); targets are 0 or 1, of the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.pictures import Classes, ClassShare, CountTable, Marks
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.sample_steps.decoding.scores import sigmoid
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.drawing import Size
from edgekit.tasks.outputs import first, refuse_smoothing, require, require_same_shape
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor

PRECISION = MetricKind(
    name="map",
    label="mAP",
    unit="%",
    higher_is_better=True,
    statistic="average_precision",
    gate_margin=1.0,
)
F1 = MetricKind(
    name="macro_f1",
    label="macro F1",
    unit="%",
    higher_is_better=True,
    statistic="mean_ratio",
    gate_margin=1.0,
)
ROC_AUC = MetricKind(
    name="roc_auc",
    label="ROC AUC",
    unit="%",
    higher_is_better=True,
    statistic="roc_auc",
    gate_margin=0.5,
)
"""Of a single class: yes or no."""
HITS = ("found", "missed", "found wrongly")


@dataclass(frozen=True)
class Multilabel:
    """See edgekit.tasks.task.Task, and Draws and CountsAnswers in edgekit.tasks.drawing.

    A class counts as found where its score is above 0, which is a probability above one half."""

    metrics: tuple[MetricKind, ...] = (PRECISION, F1, ROC_AUC)
    agreement_label: str = "same classes"
    error_label: str = "loss"

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """Binary cross entropy of each class."""
        from torch.nn import functional

        refuse_smoothing(label_smoothing)
        scores = first(outputs)
        _check_shape(tuple(targets.shape[1:]), tuple(scores.shape[1:]))
        return functional.binary_cross_entropy_with_logits(scores, targets.to(scores.dtype))

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """Cross entropy of each class against the teacher's probability, both softened, times T²
        (Hinton et al. 2015, arXiv:1503.02531, for two outcomes)."""
        from torch.nn import functional

        scores, taught = first(student), first(teacher)
        require_same_shape(scores, taught)
        softened = (taught / temperature).sigmoid()
        return (
            functional.binary_cross_entropy_with_logits(scores / temperature, softened)
            * temperature**2
        )

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """One 0 or 1 for each class that the model has a score for."""
        if targets.ndim != 2:
            raise ModelError(
                f"targets of multilabel are of shape (samples, classes), these of {targets.shape}"
            )
        require(np.isin(targets, (0, 1)), "each class is 0 or 1")
        if outputs:
            _check_shape(targets.shape[1:], first(outputs))

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        """One for each score."""
        shape = first(outputs)
        return shape[0] if len(shape) == 1 else None

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Scores and labels; and for F1 twice the true positives, over all that are found or
        true."""
        scores = first(outputs)
        positive = targets.astype(bool)
        predicted = scores > 0
        ranked = np.concatenate([scores, positive], axis=1)
        return {
            **({ROC_AUC.name: ranked} if scores.shape[1] == 1 else {}),
            PRECISION.name: ranked,
            F1.name: np.concatenate(
                [2.0 * (predicted & positive), predicted.astype(float) + positive], axis=1
            ),
        }

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """The share of the classes that are found in both or in neither."""
        same = (first(outputs) > 0) == (first(others) > 0)
        return np.asarray(same.mean(axis=1), dtype=np.float64)

    @property
    def decoding(self) -> Decoding:
        return Decoding("likely_classes")

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        """The classes that are found."""
        return [_classes(likely, likely > 0.5) for likely in sigmoid(first(outputs))]

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        return [
            Classes(classes=tuple(ClassShare(label=at) for at in np.flatnonzero(true).tolist()))
            for true in targets
        ]

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The binary cross entropy of each sample, its mean over the classes."""
        logits = np.asarray(first(outputs), dtype=np.float64)
        return np.asarray((np.logaddexp(0, logits) - logits * targets).mean(axis=1))

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        """For each class how often it is found, missed, and found where it is not."""
        positive, predicted = targets.astype(bool), first(outputs) > 0
        hits = (positive & predicted, positive & ~predicted, ~positive & predicted)
        counts = np.stack([each.sum(axis=0) for each in hits], axis=1)
        return CountTable.of(counts, rows="class", columns="", column_names=HITS)


MULTILABEL = Multilabel()


def _classes(likely: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Classes:
    """Chosen classes, the likeliest first."""
    order = np.argsort(-likely, kind="stable")
    return Classes(
        classes=tuple(
            ClassShare(label=label, share=float(likely[label]))
            for label in order[chosen[order]].tolist()
        )
    )


def _check_shape(targets: tuple[int, ...], scores: tuple[int, ...]) -> None:
    if targets != scores:
        raise ModelError(
            f"the data has {targets} labels a sample, and the model returns {scores}",
            hint="set num_classes in model.args",
        )
