"""What the sources of images share: padding, splitting by class, decoding, cropping. What pixels a
file has is in pixels.py, where an image with boxes, masks or points comes to lie in letterbox.py.
Imports torch only to decode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgekit.data.pixels import eight_bits, opened
from edgekit.data.source import times
from edgekit.errors import ModelError
from edgekit.machine_limits import usable_cores, usable_memory_bytes

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def pad_to(images: NDArray[np.uint8], shape: Sequence[int], name: str) -> NDArray[np.uint8]:
    """Images of shape (N, C, h, w) centred on black of the height and width of `shape`. `name` is
    the source's.

    Raises ModelError for a smaller or different kind of shape."""
    height, width = images.shape[-2:]
    if len(shape) != 3 or shape[1] < height or shape[2] < width:
        raise ModelError(
            f"data {name}: a sample is {times(images.shape[1:])}, but the recipe's input is"
            f" {times(shape)}",
            hint="images are padded, never shrunk",
        )
    top = (shape[1] - height) // 2
    left = (shape[2] - width) // 2
    rows = (top, shape[1] - height - top)
    columns = (left, shape[2] - width - left)
    return np.pad(images, ((0, 0), (0, 0), rows, columns))


def stratified(
    labels: ArrayLike, test_fraction: float, seed: int, name: str
) -> tuple[list[int], list[int]]:
    """Rows for training and for testing, each class in the same proportion. Raises ModelError when
    there are too few of a class."""
    from sklearn.model_selection import train_test_split

    numbers = np.asarray(labels)
    try:
        train, test = train_test_split(
            np.arange(len(numbers)), test_size=test_fraction, stratify=numbers, random_state=seed
        )
    except ValueError as error:
        raise ModelError(
            f"data {name}: cannot be split for testing: {error}",
            hint="check test_fraction and the number of images per class",
        ) from None
    return train.tolist(), test.tolist()


def check_channels(shape: Sequence[int], name: str) -> None:
    """Raises ModelError for an input that is no image, grey or RGB."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ModelError(
            f"data {name}: images have 1 or 3 channels, but the recipe's input is {times(shape)}"
        )


def check_memory(count: int, shape: Sequence[int], name: str) -> None:
    """Raises ModelError when so many images of a shape would fill half of the memory. The processes
    that export do not hold them again: they map the test samples from a file."""
    needed, usable = count * math.prod(shape) / 1e6, usable_memory_bytes() / 1e6
    if needed > usable / 2:
        raise ModelError(
            f"data {name}: {count:,} images of {times(shape)} need {needed:,.0f} MB, more than half"
            f" of the {usable:,.0f} MB of memory that this machine or its container allows",
            hint="set data.args.stream: true, or data.train_limit and data.test_limit",
        )


def decoded(paths: Sequence[Path], shape: Sequence[int], name: str) -> Tensor:
    """All images as uint8 of shape (N, *shape), decoded by as many threads as there are cores.
    Raises ModelError with the names of those that cannot be decoded."""
    import torch

    images = torch.empty((len(paths), *shape), dtype=torch.uint8)

    def decode(row: int) -> str | None:
        try:
            images[row] = covering(read_image(paths[row], shape[0]), shape)
        except ModelError as error:
            return error.message
        return None

    with ThreadPoolExecutor(usable_cores()) as pool:
        damaged = [text for text in pool.map(decode, range(len(paths))) if text]
    if damaged:
        rest = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ModelError(
            f"data {name}: {', '.join(damaged[:10])}{rest}", hint="remove or replace them"
        )
    return images


def read_image(path: Path, channels: int) -> Tensor:
    """An image turned upright, as uint8 of shape (channels, height, width): grey for one channel,
    RGB for three. Raises ModelError that names a file which cannot be decoded."""
    from torchvision.transforms.v2 import functional

    return functional.pil_to_tensor(eight_bits(opened(path), channels, path))


def covering(pixels: Tensor, shape: Sequence[int]) -> Tensor:
    """An image of shape (C, h, w) resized to cover the input's height and width, then cropped at
    the centre."""
    from torchvision.transforms.v2 import functional

    height, width = shape[1:]
    ratio = max(height / pixels.shape[1], width / pixels.shape[2])
    size = [
        max(height, round(pixels.shape[1] * ratio)),
        max(width, round(pixels.shape[2] * ratio)),
    ]
    resized = functional.resize(pixels, size, antialias=True)
    return functional.center_crop(resized, [height, width])
