"""Average precision of detections, from records of what was matched with what. Matching itself is
the task's business."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.resampled import mean_of_known, resampled
from edgekit.metrics.statistics import Material, Weights

RECALLS = np.linspace(0, 1, 101)
THRESHOLDS = 10
"""Of intersection over union: 0.50, 0.55, …, 0.95."""
NOTHING = -1.0
"""As the class of a record: it is none. As its matches: it is no detection, but counts objects."""


def average_precision(
    material: Material, weights: Weights, *, thresholds: int = THRESHOLDS
) -> NDArray[np.float64]:
    """Average precision as COCO has it, in percent: precision, made to fall with recall, at 101
    recalls; its mean over them, over the first so many `thresholds`, and over the classes that have
    objects (Lin et al., "Microsoft COCO", 2014; cocoeval.py of its API).

    A row holds the records of one image, three columns each: (class, score, matches) of a
    detection, where bit t of `matches` says that it was matched at threshold t; (class, objects,
    −1) for the objects of a class; and class −1 fills the row."""
    records = material.reshape(len(material), -1, 3)
    image = np.broadcast_to(np.arange(len(records))[:, None], records.shape[:2])
    is_detection = (records[..., 0] != NOTHING) & (records[..., 2] != NOTHING)
    is_count = (records[..., 0] != NOTHING) & ~is_detection
    detections, of_image = records[is_detection], image[is_detection]
    counts, counted_in = records[is_count], image[is_count]
    by_class = []
    for number in np.unique(counts[:, 0]):
        chosen = counts[:, 0] == number
        objects = weights[:, counted_in[chosen]] @ counts[chosen, 1]
        mine = detections[:, 0] == number
        by_class.append(
            _class_precision(detections[mine], weights[:, of_image[mine]], objects, thresholds)
        )
    if not by_class:
        return np.full(len(weights), np.nan)
    return 100 * mean_of_known(np.stack(by_class, 1))


def _class_precision(
    detections: NDArray[np.float64],
    weights: Weights,
    objects: NDArray[np.float64],
    thresholds: int,
) -> NDArray[np.float64]:
    """The average precision of one class, NaN in resamples without its objects. `weights` are
    those of the detections' images."""
    order = np.argsort(-detections[:, 1], kind="stable")
    weights = weights[:, order]
    matches = detections[order, 2].astype(np.int64)
    taken = np.cumsum(weights, axis=1)
    total = np.zeros(len(weights))
    for threshold in range(thresholds):
        right = np.cumsum(weights * (matches >> threshold & 1), axis=1)
        total += _mean_precision(right, taken, objects)
    return np.where(objects > 0, total / thresholds, np.nan)


def _mean_precision(
    right: NDArray[np.float64], taken: NDArray[np.float64], objects: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of the precisions at the 101 recalls. `right` and `taken` are how many detections of
    so high a score are right, and how many there are, of shape (resamples, detections)."""
    rows, count = right.shape
    if count == 0:
        return np.zeros(rows)
    precision = right / np.maximum(taken, np.spacing(1))
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = right / np.maximum(objects, 1)[:, None]
    at = np.stack([np.searchsorted(row, RECALLS, side="left") for row in recall])
    reached = at < count
    chosen = np.take_along_axis(falling, np.minimum(at, count - 1), axis=1)
    return np.asarray(np.where(reached, chosen, 0.0).mean(1))


AVERAGE_PRECISION = resampled(average_precision)
AVERAGE_PRECISION_50 = resampled(partial(average_precision, thresholds=1))
