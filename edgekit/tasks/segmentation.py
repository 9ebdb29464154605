"""A class for each pixel. The first output holds scores of shape (samples, classes, h, w), at the
size of the masks or smaller; targets are masks of class numbers, of shape (samples, H, W), where
255 is ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.pictures import CountTable, Marks, Mask
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.sample_steps.decoding.masks import masks
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.drawing import Size
from edgekit.tasks.outputs import first, require, require_same_shape
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = 255
MIOU = MetricKind(
    name="miou",
    label="mIoU",
    unit="%",
    higher_is_better=True,
    statistic="mean_ratio",
    gate_margin=1.0,
)
PIXEL_ACCURACY = MetricKind(
    name="pixel_accuracy",
    label="pixel accuracy",
    unit="%",
    higher_is_better=True,
    statistic="mean_ratio",
    gate_margin=1.0,
)


@dataclass(frozen=True)
class Segmentation:
    """See edgekit.tasks.task.Task, and Draws and CountsAnswers in edgekit.tasks.drawing.

    Scores smaller than the masks are resized bilinearly, in training and on the host alike."""

    metrics: tuple[MetricKind, ...] = (MIOU, PIXEL_ACCURACY)
    agreement_label: str = "same class of pixel"
    error_label: str = "1 − IoU"

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """Cross entropy, its mean over the pixels that are not ignored."""
        from torch.nn import functional

        scores = first(outputs)
        _check_scores(tuple(scores.shape[1:]))
        _check_classes(int(scores.shape[1]), targets[targets != IGNORED])
        expected = targets.long()
        resized = functional.interpolate(scores, expected.shape[1:], mode="bilinear")
        losses = functional.cross_entropy(
            resized,
            expected,
            ignore_index=IGNORED,
            label_smoothing=label_smoothing,
            reduction="sum",
        )
        return losses / (expected != IGNORED).sum().clamp(min=1)

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """KL divergence of the softened classes of each pixel, times T² (Hinton et al. 2015,
        arXiv:1503.02531)."""
        from torch.nn import functional

        scores, taught = first(student), first(teacher)
        require_same_shape(scores, taught)
        divergence = functional.kl_div(
            functional.log_softmax(scores / temperature, dim=1),
            functional.log_softmax(taught / temperature, dim=1),
            reduction="none",
            log_target=True,
        )
        return divergence.sum(dim=1).mean() * temperature**2

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Masks of class numbers that the model has scores for."""
        if targets.ndim != 3 or targets.dtype.kind not in "iu":
            raise ModelError(
                "targets of segmentation are whole numbers of shape (samples, H, W), these are"
                f" {targets.dtype} of {targets.shape}"
            )
        require((targets >= 0) & (targets <= IGNORED), "a class is from 0 to 254, or 255: ignored")
        if outputs:
            _check_scores(first(outputs))
            classes = first(outputs)[0]
            require(
                (targets < classes) | (targets == IGNORED),
                f"it has a class beyond the {classes} that the model returns",
            )

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        shape = first(outputs)
        return shape[0] if len(shape) == 3 else None

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """For each sample and class the pixels in both masks and in either; and how many pixels are
        right, of how many."""
        classes = first(outputs).shape[1]
        ratios = []
        for pixels in _confusions(first(outputs), targets):
            both = np.diagonal(pixels)
            ratios.append([*both, *(pixels.sum(0) + pixels.sum(1) - both)])
        material = np.array(ratios, dtype=np.float64)
        counted = (targets != IGNORED).reshape(len(targets), -1).sum(1)
        right = material[:, :classes].sum(1)
        return {MIOU.name: material, PIXEL_ACCURACY.name: np.stack([right, counted], axis=1)}

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """The share of the pixels with the same class, at the size of the scores."""
        pairs = zip(masks(first(outputs)), masks(first(others)), strict=True)
        return np.array([(mask == other).mean() for mask, other in pairs], dtype=np.float64)

    @property
    def decoding(self) -> Decoding:
        return Decoding("masks")

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        return [Mask.of(mask) for mask in masks(first(outputs), size)]

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        return [Mask.of(mask) for mask in targets]

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """How far the mean overlap of the classes in a sample is from 1."""
        ratios = self.score(outputs, targets)[MIOU.name]
        both, either = np.split(ratios, 2, axis=1)
        there = either > 0
        overlaps = np.divide(both, either, out=np.zeros_like(both), where=there)
        return np.asarray(1 - overlaps.sum(1) / np.maximum(there.sum(1), 1))

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        """The confusion of the classes of all pixels."""
        counts = sum(_confusions(first(outputs), targets))
        return CountTable.of(np.asarray(counts), counted="pixels")


SEGMENTATION = Segmentation()


def _confusions(scores: NDArray[Any], targets: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """For each sample how many pixels of each true class (rows) have which class (columns)."""
    classes = scores.shape[1]
    for mask, predicted in zip(targets, masks(scores, targets.shape[1:]), strict=True):
        counted = mask != IGNORED
        pairs = mask[counted].astype(np.int64) * classes + predicted[counted]
        yield np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _check_scores(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] < 2:
        raise ModelError(
            f"the model returns {shape} for a sample; segmentation needs (classes, h, w), two"
            " classes at least",
            hint="wrap the model in a factory that returns the scores of its classes",
        )


def _check_classes(classes: int, targets: Tensor) -> None:
    if targets.numel() and int(targets.max()) >= classes:
        raise ModelError(
            f"a mask has class {int(targets.max())}, and the model returns {classes}",
            hint="set num_classes in model.args",
        )
