"""Objects from what a detector returns for each anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .boxes import anchor_boxes, boxes_of, without_overlap
from .scores import sigmoid, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

CANDIDATES = 300
"""Boxes of an image that are looked at, from the highest score on."""


class Detector:
    """A detector's layout, and which of its boxes are objects; the arguments are those of the task
    (edgekit.tasks.detection)."""

    def __init__(
        self,
        image: Sequence[int],
        grids: Sequence[Sequence[int]],
        anchors: Sequence[Sequence[Sequence[float]]],
        box_weights: Sequence[float],
        background: bool,
        min_score: float,
        max_overlap: float,
        most: int,
    ) -> None:
        self.anchor_boxes = anchor_boxes(image, grids, anchors)
        self._image, self._weights, self._background = image, box_weights, background
        self._min_score, self._max_overlap, self._most = min_score, max_overlap, most

    def detections(self, deltas: NDArray[Any], scores: NDArray[Any]) -> list[NDArray[np.float64]]:
        """For each sample the (class, score, x1, y1, x2, y2) of what is detected, from the highest
        score on."""
        boxes = boxes_of(deltas, self.anchor_boxes, self._weights, self._image)
        probable = softmax(scores)[..., 1:] if self._background else sigmoid(scores)
        return [self._chosen(boxes[sample], probable[sample]) for sample in range(len(boxes))]

    def _chosen(
        self, boxes: NDArray[np.float64], probable: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        anchor, number = np.nonzero(probable >= self._min_score)
        scores = probable[anchor, number]
        best = np.argsort(-scores, kind="stable")[:CANDIDATES]
        anchor, number, scores = anchor[best], number[best], scores[best]
        chosen = without_overlap(boxes[anchor], scores, number, self._max_overlap)[: self._most]
        return np.column_stack([number[chosen], scores[chosen], boxes[anchor[chosen]]])
