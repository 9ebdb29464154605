"""Boxes as targets: what is wrong with one, and all of an image as rows of one fixed shape. Owns
the form that the task detection takes; where boxes come from is the source's. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.letterbox import Letterbox
from edgekit.errors import ModelError

NO_OBJECT = -1
"""The class of a row that only fills the target up."""

Objects = NDArray[np.float32]
"""The objects of one image, of shape (N, 5): class, x1, y1, x2, y2."""


def box_fault(
    corners: Sequence[float] | NDArray[Any], width: float, height: float, tolerance: float
) -> str:
    """What is wrong with a box x1, y1, x2, y2 in an image; empty when nothing is. It may reach over
    the border by `tolerance`, which rounding does."""
    x1, y1, x2, y2 = corners
    if not (x2 > x1 and y2 > y1):
        return "a box without area"
    beyond = max(-x1, -y1, x2 - width, y2 - height)
    if not beyond <= tolerance:
        return "a box that reaches out of the image"
    if min(x2, width) <= max(x1, 0) or min(y2, height) <= max(y1, 0):
        return "a box outside the image"
    return ""


def row_count(images: Sequence[Objects], max_objects: int | None, source: str) -> int:
    """How many rows a target has: `max_objects`, or as many as the fullest image needs.

    Raises ModelError: no objects at all, or more in an image than `max_objects`."""
    fullest = max((len(objects) for objects in images), default=0)
    if fullest == 0:
        raise ModelError(f"data {source}: no image has an object")
    if max_objects is not None and fullest > max_objects:
        raise ModelError(
            f"data {source}: an image has {fullest} objects, more than max_objects: {max_objects}",
            hint="raise data.args.max_objects, or leave it out",
        )
    return max_objects or fullest


def target(objects: Objects, place: Letterbox, rows: int) -> NDArray[np.float32]:
    """The objects of an image, in pixels of the input: float32 of shape (rows, 5), filled up with
    rows of the class NO_OBJECT. What reaches over the image's border is cut off."""
    limits = np.array([place.width, place.height] * 2, np.float32)
    filled = np.zeros((rows, 5), np.float32)
    filled[:, 0] = NO_OBJECT
    filled[: len(objects), 0] = objects[:, 0]
    filled[: len(objects), 1:] = place.boxes(np.clip(objects[:, 1:], 0, limits))
    return filled
