"""Points from heat maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def points(answered: NDArray[Any], stride: float) -> NDArray[np.float64]:
    """Coordinates as they are, of shape (samples, points, 2); of heat maps, of shape (samples,
    points, h, w), the middle of the highest cell, moved by a quarter towards its higher neighbour
    (Newell et al. 2016, arXiv:1603.06937, §3). A cell is `stride` pixels wide."""
    if answered.ndim == 3:
        return np.asarray(answered, dtype=np.float64)
    flat = answered.reshape(*answered.shape[:2], -1)
    rows, columns = np.divmod(flat.argmax(-1), answered.shape[3])
    padded = np.pad(answered, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    sample, point = np.ogrid[: len(answered), : answered.shape[1]]

    def neighbours(down: int, right: int) -> NDArray[np.float64]:
        after = padded[sample, point, rows + 1 + down, columns + 1 + right]
        before = padded[sample, point, rows + 1 - down, columns + 1 - right]
        return np.asarray(np.sign(after - before) / 4)

    x = columns + 0.5 + neighbours(0, 1)
    y = rows + 0.5 + neighbours(1, 0)
    return np.stack([x, y], axis=-1) * stride
