"""What is shown of detections: boxes, and which class is detected where an object of another is.
Detections are rows of class, score, x1, y1, x2, y2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.pictures import Box, Boxes, CountTable
from edgekit.sample_steps.decoding.boxes import overlaps

Detections = NDArray[np.float64]


def drawn_boxes(detections: Detections, *, sure: bool = True) -> Boxes:
    """The boxes of an image; without `sure`, without their scores."""
    return Boxes(
        boxes=tuple(
            Box(label=int(label), score=score if sure else None, corners=tuple(corners))
            for label, score, *corners in detections.tolist()
        )
    )


def counts_by_place(
    detected: Sequence[Detections], objects: Sequence[Detections], classes: int, overlap: float
) -> CountTable:
    """Each object goes with the surest detection at its place, of whatever class, and each
    detection with one object; what is left over goes with nothing."""
    counts = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for of_image, there in zip(detected, objects, strict=True):
        same_place = overlaps(there[:, 2:], of_image[:, 2:]) >= overlap
        free = np.ones(len(of_image), dtype=np.bool_)
        for row, label in enumerate(there[:, 0].astype(int)):
            fits = np.flatnonzero(same_place[row] & free)  # the surest stands first
            counts[label, int(of_image[fits[0], 0]) if len(fits) else classes] += 1
            free[fits[:1]] = False
        for label in of_image[free, 0].astype(int):
            counts[classes, label] += 1
    return CountTable.of(counts, columns="detected", counted="objects", extra="nothing")
