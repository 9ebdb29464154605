"""What several tasks ask of a model's outputs and targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.pictures import CountTable
from edgekit.errors import ModelError

Value = TypeVar("Value")


def first(outputs: Mapping[str, Value]) -> Value:
    """The first output, which is the one that tasks of a single output read."""
    return next(iter(outputs.values()))


def confusion(
    targets: NDArray[Any], predicted: NDArray[Any], classes: int, *, columns: str = "predicted"
) -> CountTable:
    """How often samples of each class have been taken for which."""
    pairs = np.asarray(targets, dtype=np.int64) * classes + predicted
    places, counts = np.unique(pairs, return_counts=True)
    return CountTable.of_cells(
        (classes, classes), np.divmod(places, classes), counts, columns=columns
    )


def require(right: NDArray[np.bool_], rule: str) -> None:
    """Whether all values of each sample, of shape (samples, …), are right. Raises ModelError naming
    the first sample that has others, and the `rule`."""
    wrong = ~right.reshape(len(right), -1).all(axis=1)
    if wrong.any():
        whose = f" of sample {int(np.argmax(wrong))}" if len(right) > 1 else ""
        raise ModelError(f"target{whose}: {rule}")


def refuse_smoothing(label_smoothing: float) -> None:
    """Raises ModelError: only class numbers are smoothed."""
    if label_smoothing:
        raise ModelError(
            "label_smoothing is for classification and segmentation", hint="leave it out"
        )


def require_same_shape(student: Any, teacher: Any) -> None:
    """Raises ModelError where a teacher's output cannot be compared with its student's."""
    if tuple(student.shape) != tuple(teacher.shape):
        raise ModelError(
            f"the teacher returns {tuple(teacher.shape)} where the model returns"
            f" {tuple(student.shape)}",
            hint="both need the same outputs",
        )
