"""Your own images with a mask for each, for segmentation: PATH/train/images/*.jpg and
PATH/train/masks/*.png of the same names, and PATH/test, PATH/val and the like likewise.

Owns reading a mask; where the files lie is in image_pairs.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.image_pairs import Pairs, class_names, image_pairs, pairs_contents
from edgekit.data.images import check_channels, read_image
from edgekit.data.letterbox import IGNORED, letterbox
from edgekit.data.pixels import opened
from edgekit.data.source import Outline, Request, Source
from edgekit.data.split_folders import FolderContents
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

NAME = "mask_folder"
MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes that hold numbers and no colours."""


def load(request: Request, *, path: str, classes: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Streamed samples: an image in a letterbox, as uint8 of the recipe's shape, and its mask as
    uint8 of shape (H, W). A mask is a PNG of class numbers, grey or with a palette; 255 is ignored,
    as is what lies around the image. `classes` are their names; without them classes.txt or
    data.yaml of the folder has them.

    Raises ModelError: no such folder, no images, no names, an image without a mask."""
    check_channels(request.shape, NAME)
    root = request.base / path
    names = class_names(root, classes, NAME)
    train, test = (
        MaskedImages(pairs, request.shape, len(names)) for pairs in _pairs_with_masks(root)
    )
    return train, test, names


@dataclass(frozen=True)
class MaskedImages:
    """A map-style dataset, see `load`. Raises ModelError for a file that cannot be decoded, a mask
    of another size than its image, and a class without a name."""

    pairs: Pairs
    shape: tuple[int, ...]
    classes: int

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> tuple[Tensor, NDArray[np.uint8]]:
        image_file, mask_file = self.pairs[number]
        pixels = read_image(image_file, self.shape[0])
        mask = read_mask(mask_file, self.classes)
        if mask.shape != tuple(pixels.shape[1:]):
            raise ModelError(
                f"{mask_file}: the mask is {_size(mask.shape)}, but {image_file.name} is"
                f" {_size(pixels.shape[1:])}"
            )
        height, width = mask.shape
        place = letterbox(height, width, self.shape)
        return place.image(pixels), place.mask(mask)


def read_mask(path: Path, classes: int) -> NDArray[np.uint8]:
    """The class of each pixel, of shape (height, width)."""
    image = opened(path)
    if image.mode not in MODES:
        raise ModelError(
            f"{path}: a mask of colours (Pillow's mode {image.mode}), not of class numbers",
            hint="save masks as grey or palette PNG, each pixel the number of its class",
        )
    mask = np.array(image).astype(np.int64)
    beyond = np.setdiff1d(mask[(mask < 0) | (mask >= classes)], [IGNORED])
    if beyond.size:
        raise ModelError(
            f"{path}: the mask has class {beyond[0]}, but there are {classes} classes",
            hint=f"classes are numbered from 0; {IGNORED} is for pixels that do not count",
        )
    return mask.astype(np.uint8)


def _pairs_with_masks(root: Path) -> tuple[Pairs, Pairs]:
    both = image_pairs(root, "masks", ".png", NAME)
    missing = [mask for pairs in both for _, mask in pairs if not mask.is_file()]
    if missing:
        rest = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise ModelError(
            f"data {NAME}: masks are missing: {', '.join(map(str, missing[:10]))}{rest}",
            hint="each image in images/ needs a PNG of the same name in masks/",
        )
    return both


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}×{shape[0]}"


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Looks for the names of the classes and for the masks. None without a path; `load` says so."""
    path = args.get("path")
    if not isinstance(path, str):
        return None
    _pairs_with_masks(base / path)
    names = class_names(base / path, args.get("classes"), NAME)
    return Outline((3, 128, 128), classes=len(names))


def contents(args: Mapping[str, Any], base: Path) -> FolderContents | None:
    path = args.get("path")
    return pairs_contents(base / path, "masks", NAME) if isinstance(path, str) else None


MASK_FOLDER = Source(load=load, outline=outline, contents=contents, suppliers=("pillow",))
