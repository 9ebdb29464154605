"""How an image of any size comes to lie in a model's input, and what is known of it with it: boxes,
class masks and points. Owns that geometry; imports torch only to move pixels.

A letterbox, as detectors have it since YOLO: the whole image is scaled by one factor and centred on
black. A plain resize would change the shape of objects by the aspect of their image, and a crop
would cut off what is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = 255
"""The class of pixels in a mask that count neither in training nor in a metric."""


@dataclass(frozen=True)
class Letterbox:
    """Where an image of `height` × `width` pixels lies in an input: resized to `inner_height` ×
    `inner_width`, `top` rows and `left` columns from the corner."""

    height: int
    width: int
    outer_height: int
    outer_width: int
    inner_height: int
    inner_width: int

    @property
    def top(self) -> int:
        return (self.outer_height - self.inner_height) // 2

    @property
    def left(self) -> int:
        return (self.outer_width - self.inner_width) // 2

    def image(self, pixels: Tensor) -> Tensor:
        """An image of shape (C, height, width), on black."""
        from torchvision.transforms.v2 import functional

        inner = functional.resize(pixels, [self.inner_height, self.inner_width], antialias=True)
        outer = pixels.new_zeros((len(pixels), self.outer_height, self.outer_width))
        outer[:, self._rows, self._columns] = inner
        return outer

    def mask(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A mask of shape (height, width): each pixel is the nearest one's class, and IGNORED
        around the image."""
        rows = _centres(self.height, self.inner_height)
        columns = _centres(self.width, self.inner_width)
        outer = np.full((self.outer_height, self.outer_width), IGNORED, np.uint8)
        outer[self._rows, self._columns] = classes[rows[:, None], columns]
        return outer

    def points(self, xy: NDArray[Any]) -> NDArray[np.float32]:
        """Points of shape (…, 2), x before y, in pixels of the image."""
        scale = (self.inner_width / self.width, self.inner_height / self.height)
        return (xy * np.array(scale) + np.array((self.left, self.top))).astype(np.float32)

    def boxes(self, corners: NDArray[Any]) -> NDArray[np.float32]:
        """Boxes of shape (N, 4): x1, y1, x2, y2."""
        return self.points(corners.reshape(-1, 2)).reshape(-1, 4)

    @property
    def _rows(self) -> slice:
        return slice(self.top, self.top + self.inner_height)

    @property
    def _columns(self) -> slice:
        return slice(self.left, self.left + self.inner_width)


def letterbox(height: int, width: int, shape: Sequence[int]) -> Letterbox:
    """Where an image of `height` × `width` pixels lies in an input of `shape`, (C, H, W)."""
    outer_height, outer_width = shape[-2:]
    scale = min(outer_height / height, outer_width / width)
    inner_height = max(1, min(outer_height, round(height * scale)))
    inner_width = max(1, min(outer_width, round(width * scale)))
    return Letterbox(height, width, outer_height, outer_width, inner_height, inner_width)


def _centres(pixels: int, resized: int) -> NDArray[np.int64]:
    """Which of `pixels` lies under the centre of each resized one."""
    return ((np.arange(resized) + 0.5) * pixels / resized).astype(np.int64)
