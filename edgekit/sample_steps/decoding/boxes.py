"""Boxes of detectors: anchors, how far two boxes overlap, and the choice among overlapping ones.
Boxes are x1, y1, x2, y2 in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Boxes = NDArray[np.float64]

MOST_GROWTH = math.log(1000 / 16)
"""An anchor grows by a factor of 62.5 at most, as in torchvision: an exponent must not overflow."""


def anchor_boxes(
    image: Sequence[int],
    grids: Sequence[Sequence[int]],
    sizes: Sequence[Sequence[Sequence[float]]],
) -> Boxes:
    """One box of each size (width, height) in the middle of each cell, grid after grid, row by row,
    and the sizes of a cell one after the other. `image` and `grids` are (height, width)."""
    anchors = []
    for number, (rows, columns) in enumerate(grids):
        y, x = np.mgrid[:rows, :columns] + 0.5
        centres = np.stack([x * image[1] / columns, y * image[0] / rows], axis=-1)
        half = np.array(sizes[number], dtype=np.float64) / 2
        low = centres[:, :, None] - half
        high = centres[:, :, None] + half
        anchors.append(np.concatenate([low, high], axis=-1).reshape(-1, 4))
    return np.concatenate(anchors)


def boxes_of(
    deltas: NDArray[np.floating], anchors: Boxes, weights: Sequence[float], image: Sequence[int]
) -> Boxes:
    """Boxes within the image from what a net returns for each anchor: the shift of its centre in
    its width and height, and the logarithms of how much wider and higher it is, each times its
    weight (Ren et al. 2015, arXiv:1506.01497, formula 2). Of shape (…, anchors, 4)."""
    shift = deltas[..., :2] / np.asarray(weights[:2])
    growth = np.minimum(deltas[..., 2:] / np.asarray(weights[2:]), MOST_GROWTH)
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2 + shift * sizes
    half = np.exp(growth) * sizes / 2
    corners = np.concatenate([centres - half, centres + half], axis=-1)
    return np.asarray(np.clip(corners, 0, [image[1], image[0], image[1], image[0]]))


def overlaps(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of each with each, of shape (boxes, others)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    union = _areas(boxes)[:, None] + _areas(others)[None, :] - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def _areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(-1))


def without_overlap(
    boxes: Boxes, scores: NDArray[np.float64], classes: NDArray[np.int64], most_overlap: float
) -> NDArray[np.intp]:
    """Non-maximum suppression: the boxes, from the highest score on, that do not overlap a chosen
    one of their class by more."""
    order = np.argsort(-scores, kind="stable")
    rivals = overlaps(boxes[order], boxes[order]) > most_overlap
    rivals &= classes[order][:, None] == classes[order][None, :]
    left = np.ones(len(order), dtype=np.bool_)
    chosen = []
    for row in range(len(order)):
        if left[row]:
            chosen.append(row)
            left &= ~rivals[row]
    return order[np.array(chosen, dtype=np.intp)]
