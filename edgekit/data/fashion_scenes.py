"""Scenes of several of Fashion-MNIST's garments, each at another size and place, with their boxes
or their masks: for detection and segmentation. Owns how a scene is made; the garments are those of
fashion_mnist.py, so that those in test scenes were never seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgekit.data.boxes import NO_OBJECT
from edgekit.data.fashion_mnist import CLASSES, files, garments
from edgekit.data.source import Outline, Request, Source, times
from edgekit.errors import ModelError
from edgekit.sample_steps.decoding.boxes import overlaps

NAME = "fashion_scenes"
TARGETS = {"boxes": "detection", "masks": "segmentation"}
"""What a scene can have as its target, and the task that it is for."""
SIZES = (0.2, 0.5)
"""The smallest and the largest side of a garment's square, as a part of the scene's shorter one."""
CLOTH = 16
"""Pixels brighter than this are the garment's, others its square's."""
BACKGROUND = 24
"""The background is noise below this."""
ATTEMPTS = 10
"""Places that are tried for a garment; a scene without room has fewer."""
MOST_OVERLAP = 0.1


def load(
    request: Request,
    *,
    target: str,
    train: int = 4000,
    test: int = 1000,
    most: int = 4,
    path: str | None = None,
) -> tuple[Any, ...]:
    """Streamed scenes of one to `most` garments, `train` and `test` of them; scene number n follows
    from the recipe's seed and n. A sample is uint8 of the recipe's shape, with one channel. Its
    target is float32 of shape (most, 5) for `boxes`: class, x1, y1, x2, y2 in pixels, filled up
    with class -1; or uint8 of shape (H, W) for `masks`: 0 is the background, garments count from 1.
    `path` is as for the source fashion_mnist.

    Raises ModelError: an input or a target of another kind, and what fashion_mnist raises."""
    if target not in TARGETS:
        raise ModelError(
            f"data {NAME}: there is no target {target!r}", hint=f"one of {', '.join(TARGETS)}"
        )
    if len(request.shape) != 3 or request.shape[0] != 1 or min(request.shape[1:]) < 32:
        raise ModelError(
            f"data {NAME}: scenes have one channel and at least 32×32 pixels, but the recipe's"
            f" input is {times(request.shape)}"
        )
    size = (request.shape[1], request.shape[2])
    pictures = garments(request.base / path if path is not None else None)
    splits = [
        Scenes(images, labels, size, count, (request.seed, part), most, target)
        for part, (count, (images, labels)) in enumerate(zip((train, test), pictures, strict=True))
    ]
    return (*splits, CLASSES if target == "boxes" else ("background", *CLASSES))


@dataclass(frozen=True)
class Scenes:
    """A map-style dataset, see `load`. `images` are of shape (N, 28, 28), `size` is the scene's
    (height, width)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    size: tuple[int, int]
    count: int
    seed: tuple[int, ...]
    most: int
    target: str

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        random = np.random.default_rng((*self.seed, number))
        pixels = random.integers(0, BACKGROUND, self.size, dtype=np.uint8)
        mask = np.zeros(self.size, np.uint8)
        boxes = np.zeros((self.most, 5), np.float32)
        boxes[:, 0] = NO_OBJECT
        placed: list[NDArray[np.float32]] = []
        for _ in range(random.integers(1, self.most + 1)):
            label, garment, corners = self._placed(random, placed)
            if corners is None:
                continue
            left, top, right, bottom = corners.astype(int)
            cloth = garment > CLOTH
            pixels[top:bottom, left:right][cloth] = garment[cloth]
            mask[top:bottom, left:right][cloth] = label + 1
            boxes[len(placed)] = (label, *corners)
            placed.append(corners)
        return pixels[None], boxes if self.target == "boxes" else mask

    def _placed(
        self, random: np.random.Generator, others: Sequence[NDArray[np.float32]]
    ) -> tuple[int, NDArray[np.uint8], NDArray[np.float32] | None]:
        """A garment's class, its pixels without empty borders, and the corners of its box; None
        where it found no room."""
        chosen = random.integers(len(self.images))
        shorter = min(self.size)
        side = int(random.integers(round(SIZES[0] * shorter), round(SIZES[1] * shorter) + 1))
        square = Image.fromarray(self.images[chosen]).resize(
            (side, side), Image.Resampling.BILINEAR
        )
        garment = _cropped(np.asarray(square))
        height, width = garment.shape
        for _ in range(ATTEMPTS):
            top = random.integers(self.size[0] - height + 1)
            left = random.integers(self.size[1] - width + 1)
            corners = np.array([left, top, left + width, top + height], np.float32)
            if not others or overlaps(corners[None], np.stack(others)).max() <= MOST_OVERLAP:
                return int(self.labels[chosen]), garment, corners
        return int(self.labels[chosen]), garment, None


def _cropped(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A garment without the empty rows and columns around it."""
    rows = np.flatnonzero((square > CLOTH).any(axis=1))
    columns = np.flatnonzero((square > CLOTH).any(axis=0))
    return square[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """None without a target; `load` says so."""
    target = args.get("target")
    if target not in TARGETS:
        return None
    classes = len(CLASSES) + (target == "masks")
    return Outline((1, 96, 96), classes=classes, task=TARGETS[target])


FASHION_SCENES = Source(load=load, outline=outline, suppliers=("pillow",), files=files)
