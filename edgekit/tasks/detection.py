"""Objects with their boxes. The first output holds, for each anchor, how its box differs from it,
of shape (samples, anchors, 4); the second the scores of its classes, logits of shape (samples,
anchors, classes). Targets are rows of class, x1, y1, x2, y2 in pixels of the input, filled up with
class −1, of shape (samples, rows, 5).

Boxes are decoded, and chosen among, on the host: the same for eager PyTorch, an artifact and a
device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from edgekit.bundle.pictures import CountTable, Marks
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.metrics.detection import NOTHING
from edgekit.sample_steps.decoding.boxes import overlaps
from edgekit.sample_steps.decoding.objects import Detector
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.detection_drawing import counts_by_place, drawn_boxes
from edgekit.tasks.drawing import Size as ImageSize
from edgekit.tasks.matching import match_records
from edgekit.tasks.outputs import refuse_smoothing, require, require_same_shape
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
SHOWN = 0.3
"""The score from which a detection counts in `agreement`."""
SAME_PLACE = 0.5
AP50 = MetricKind(
    name="map50",
    label="mAP@50",
    unit="%",
    higher_is_better=True,
    statistic="detection_ap50",
    gate_margin=1.0,
)
AP = MetricKind(
    name="map50_95",
    label="mAP@50:95",
    unit="%",
    higher_is_better=True,
    statistic="detection_ap",
    gate_margin=1.0,
)


@dataclass(frozen=True)
class Detection:
    """See edgekit.tasks.task.Task, and Draws and CountsAnswers in edgekit.tasks.drawing.

    `image` is the input's (height, width), `grids` the (rows, columns) of each feature map, and
    `anchors` the (width, height) of the boxes in each of its cells, in pixels; an anchor-free net
    has one square as wide as its cell. Outputs go grid by grid, row by row, anchor by anchor.
    `box_weights` is what the four numbers of a box are multiplied by. With `background`, the
    scores' first class is that there is nothing, and softmax makes probabilities of them; without,
    each class has a sigmoid of its own, learned by the focal loss.

    Detections below `min_score` are dropped, and those that overlap a better one of their class by
    more than `max_overlap`; `most` of an image are kept."""

    image: Size
    grids: Annotated[tuple[Size, ...], Field(min_length=1)]
    anchors: tuple[Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)], ...]
    box_weights: tuple[Positive, Positive, Positive, Positive] = (10.0, 10.0, 5.0, 5.0)
    background: bool = True
    min_score: Share = 0.01
    max_overlap: Share = 0.5
    most: Annotated[int, Field(ge=1, le=100)] = 100

    @model_validator(mode="after")
    def _anchors_for_each_grid(self) -> Self:
        if len(self.anchors) != len(self.grids):
            raise ValueError(
                f"anchors: {len(self.anchors)} lists for {len(self.grids)} grids; give one for each"
            )
        return self

    @property
    def metrics(self) -> tuple[MetricKind, ...]:
        return (AP50, AP)

    @property
    def agreement_label(self) -> str:
        return "same objects"

    @property
    def decoding(self) -> Decoding:
        """Boxes, and the choice among those that overlap."""
        layout = {
            "image": self.image,
            "grids": self.grids,
            "anchors": self.anchors,
            "box_weights": self.box_weights,
            "background": self.background,
            "min_score": self.min_score,
            "max_overlap": self.max_overlap,
            "most": self.most,
        }
        return Decoding("objects", layout)

    @cached_property
    def _detector(self) -> Detector:
        return Detector(**self.decoding.args)

    @property
    def anchor_boxes(self) -> NDArray[np.float64]:
        """Of shape (anchors, 4), in pixels."""
        return self._detector.anchor_boxes

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """See edgekit.tasks.detection_loss."""
        from edgekit.tasks.detection_loss import detection_loss

        refuse_smoothing(label_smoothing)
        deltas, scores = self._heads(outputs)
        self._check_heads(tuple(deltas.shape[1:]), tuple(scores.shape[1:]))
        return detection_loss(
            deltas,
            scores,
            targets,
            anchors=self.anchor_boxes,
            weights=self.box_weights,
            background=self.background,
        )

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """The mean squared distance of the scores, and that of the boxes where the teacher sees an
        object (Chen et al., "Learning efficient object detection models with knowledge
        distillation", NIPS 2017). There is no temperature in it."""
        deltas, scores = self._heads(student)
        taught_deltas, taught = self._heads(teacher)
        require_same_shape(scores, taught)
        require_same_shape(deltas, taught_deltas)
        if self.background:
            seen = 1 - taught.softmax(-1)[..., :1]
        else:
            seen = taught.sigmoid().amax(-1, keepdim=True)
        boxes = (seen * (deltas - taught_deltas) ** 2).sum() / (4 * seen.sum()).clamp(min=1)
        loss: Tensor = ((scores - taught) ** 2).mean() + boxes
        return loss

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Boxes within the image and with an area, of classes that the model has scores for."""
        if targets.ndim != 3 or targets.shape[2] != 5:
            raise ModelError(
                "targets of detection are of shape (samples, rows, 5): class, x1, y1, x2, y2;"
                f" these are of {targets.shape}"
            )
        require(np.isfinite(targets), "it has a NaN or infinite number")
        classes, boxes = targets[..., 0], targets[..., 1:]
        filled = classes == -1
        require(filled | ((classes >= 0) & (classes % 1 == 0)), "a class is a number from 0, or -1")
        height, width = self.image
        inside = (boxes[..., :2] >= 0).all(-1) & (boxes[..., 2:] <= [width, height]).all(-1)
        has_area = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        require(filled | has_area, "a box has no area: x2 > x1 and y2 > y1")
        require(filled | inside, f"a box is outside the image of {width} x {height} pixels")
        if outputs:
            deltas, scores = self._heads(outputs)
            self._check_heads(deltas, scores)
            count = scores[1] - self.background
            require(classes < count, f"it has a class beyond the {count} of the model")

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        shapes = list(outputs.values())
        if len(shapes) < 2 or len(shapes[1]) != 2:
            return None
        return shapes[1][1] - self.background

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Records of what was matched. All chunks have rows of one length: of as many detections as
        are kept, and of each class that an image can hold."""
        objects = [image[image[:, 0] >= 0].astype(np.float64) for image in targets]
        records = match_records(self.detections(outputs), objects, self.most + targets.shape[1])
        return {AP50.name: records, AP.name: records}

    def score_together(self, gathered: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The records without the columns in which no image has one."""
        records = gathered[AP.name].reshape(len(gathered[AP.name]), -1, 3)
        used = (records[..., 0] != NOTHING).any(0)
        used[0] = True  # a row of no column would be no material
        material = records[:, used].reshape(len(records), -1)
        return {AP50.name: material, AP.name: material}

    def detections(self, outputs: Outputs) -> list[NDArray[np.float64]]:
        """For each sample the (class, score, x1, y1, x2, y2) of what is detected, from the highest
        score on."""
        return self._detector.detections(*self._heads(outputs))

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """The share of what two models detect that both do: of the same class, at the same place
        (an overlap of one half). 1 where neither detects anything."""
        pairs = zip(self.detections(outputs), self.detections(others), strict=True)
        return np.array([_agreement(*(_shown(each) for each in pair)) for pair in pairs])

    @property
    def error_label(self) -> str:
        return "share not matched"

    def drawn(self, outputs: Outputs, size: ImageSize | None) -> Sequence[Marks]:
        """What is detected with a score of 0.3 or more."""
        return [drawn_boxes(_shown(each)) for each in self.detections(outputs)]

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        return [drawn_boxes(objects, sure=False) for objects in _objects(targets)]

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The share of the detected and the true objects that do not match."""
        pairs = zip(self.detections(outputs), _objects(targets), strict=True)
        return np.array([1 - _agreement(_shown(each), objects) for each, objects in pairs])

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        """Which class is detected where an object is, or nothing; and what is where none is."""
        detected = [_shown(each) for each in self.detections(outputs)]
        classes = self.classes_of({name: each.shape[1:] for name, each in outputs.items()})
        return counts_by_place(detected, _objects(targets), classes or 0, SAME_PLACE)

    def _heads(self, outputs: Mapping[str, Any]) -> tuple[Any, Any]:
        if len(outputs) < 2:
            raise ModelError(
                "the model returns one output; detection needs boxes and scores",
                hint="return (boxes, scores), of shapes (batch, anchors, 4) and (…, classes)",
            )
        deltas, scores, *_ = outputs.values()
        return deltas, scores

    def _check_heads(self, deltas: tuple[int, ...], scores: tuple[int, ...]) -> None:
        count = len(self.anchor_boxes)
        if deltas != (count, 4) or len(scores) != 2 or scores[0] != count:
            raise ModelError(
                f"the model returns {deltas} and {scores} for a sample; the task's grids and"
                f" anchors make ({count}, 4) and ({count}, classes)",
                hint="make grids and anchors of task.args those of the model",
            )


def _objects(targets: NDArray[Any]) -> list[NDArray[np.float64]]:
    """True objects as detections of the score 1."""
    return [
        np.insert(image[image[:, 0] >= 0].astype(np.float64), 1, 1.0, axis=1) for image in targets
    ]


def _shown(detections: NDArray[np.float64]) -> NDArray[np.float64]:
    return detections[detections[:, 1] >= SHOWN]


def _agreement(detections: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    if len(detections) + len(others) == 0:
        return 1.0
    same = overlaps(detections[:, 2:], others[:, 2:]) >= SAME_PLACE
    same &= detections[:, None, 0] == others[None, :, 0]
    matched = 0
    for row in range(len(detections)):  # each of the others is matched once
        fits = np.flatnonzero(same[row])
        if len(fits):
            matched += 1
            same[:, fits[0]] = False
    return 2 * matched / (len(detections) + len(others))
