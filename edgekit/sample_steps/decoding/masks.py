"""Masks from scores of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def masks(scores: NDArray[Any], size: tuple[int, ...] | None = None) -> Iterator[NDArray[np.int64]]:
    """The class of the highest score of each pixel, sample by sample: scores of all samples at the
    size of the masks can be large. Without a size the masks have that of the scores."""
    for sample in scores:
        yield resized(sample, size or sample.shape[1:]).argmax(axis=0)


def resized(scores: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.float64]:
    """Scores of shape (classes, h, w) at another size, bilinearly, as torch's interpolate does
    without align_corners: pixels are squares, and the border repeats."""
    values = np.asarray(scores, dtype=np.float64)
    for axis, length in ((1, size[0]), (2, size[1])):
        had = values.shape[axis]
        if had == length:
            continue
        at = np.clip((np.arange(length) + 0.5) * had / length - 0.5, 0, had - 1)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, had - 1)
        part = (at - low).reshape((-1, 1) if axis == 1 else (1, -1))
        below, above = values.take(low, axis), values.take(high, axis)
        values = below + part * (above - below)
    return values
