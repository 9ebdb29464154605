"""What the sources of images share: padding, splitting by class, decoding. Smaller images are never
blurred up to size but padded with black. Imports torch only to decode."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgekit.data.source import times
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


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


def check_memory(count: int, shape: Sequence[int], name: str) -> None:
    """Raises ModelError when so many images of a shape would fill half of the memory."""
    needed = count * math.prod(shape) / 1e6
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    if needed > installed / 2:
        raise ModelError(
            f"data {name}: {count:,} images of {times(shape)} need {needed:,.0f} MB, more than half"
            " of this machine's memory",
            hint="set data.train_limit and data.test_limit",
        )


def decoded(paths: Sequence[Path], shape: Sequence[int], name: str) -> Tensor:
    """All images as uint8 of shape (N, *shape), decoded by as many threads as there are cores.
    Raises ModelError with the names of those that cannot be decoded."""
    import torch
    from PIL import Image, ImageOps

    images = torch.empty((len(paths), *shape), dtype=torch.uint8)
    fit = _fit_to(shape)
    mode = "L" if shape[0] == 1 else "RGB"

    def decode(row: int) -> str | None:
        try:
            with Image.open(paths[row]) as image:
                images[row] = fit(ImageOps.exif_transpose(image).convert(mode))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return f"{paths[row]} ({str(error).splitlines()[0]})"
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        damaged = [text for text in pool.map(decode, range(len(paths))) if text]
    if damaged:
        rest = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ModelError(
            f"data {name}: damaged images: {', '.join(damaged[:10])}{rest}",
            hint="remove or replace them",
        )
    return images


def _fit_to(shape: Sequence[int]) -> Callable[[Image.Image], Tensor]:
    """Resize to cover the input's height and width, then crop at the centre."""
    from torchvision.transforms.v2 import functional

    height, width = shape[1:]

    def fit(image: Image.Image) -> Tensor:
        ratio = max(height / image.height, width / image.width)
        size = [max(height, round(image.height * ratio)), max(width, round(image.width * ratio))]
        pixels = functional.resize(functional.pil_to_tensor(image), size, antialias=True)
        return functional.center_crop(pixels, [height, width])

    return fit
