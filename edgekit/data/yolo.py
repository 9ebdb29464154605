"""Images with labels as YOLO's tools write them, for detection: PATH/train/images/*.jpg and
PATH/train/labels/*.txt of the same names, or PATH/images/train and PATH/labels/train; test, val,
valid and the like likewise. Each line of a label is one object: class cx cy w h, in fractions of
the image.

Owns reading labels; where the files lie is in image_pairs.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.boxes import Objects, box_fault, row_count, target
from edgekit.data.image_pairs import class_names, image_pairs, pairs_contents
from edgekit.data.images import check_channels, read_image
from edgekit.data.letterbox import letterbox
from edgekit.data.source import Outline, Request, Source
from edgekit.data.split_folders import FolderContents
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

NAME = "yolo"
TOLERANCE = 0.001
"""How far a box may reach over the border, as a fraction of the image: labels are rounded."""

Labelled = list[tuple[Path, Objects]]
"""Images and their objects, whose corners are fractions of the image."""


def load(
    request: Request,
    *,
    path: str,
    classes: Sequence[str] | None = None,
    max_objects: int | None = None,
) -> tuple[Any, ...]:
    """Streamed samples: an image in a letterbox, as uint8 of the recipe's shape, and its objects as
    float32 of shape (M, 5), class, x1, y1, x2, y2 in pixels of the input, filled up with rows of
    class -1. M is `max_objects`, or the number of objects of the fullest image. An image without a
    label has no objects. `classes` are the names; without them classes.txt or data.yaml has them.

    Raises ModelError: no such folder, no images, no names; and for a label, with file and line: no
    five numbers, an unknown class, a box outside the image or without area."""
    check_channels(request.shape, NAME)
    root = request.base / path
    names = class_names(root, classes, NAME)
    train, test = _labelled(root, len(names))
    rows = row_count([objects for _, objects in [*train, *test]], max_objects, NAME)
    return (
        LabelledImages(train, request.shape, rows),
        LabelledImages(test, request.shape, rows),
        names,
    )


@dataclass(frozen=True)
class LabelledImages:
    """A map-style dataset, see `load`. Raises ModelError for an image that cannot be decoded."""

    images: Labelled
    shape: tuple[int, ...]
    rows: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor, NDArray[np.float32]]:
        file, objects = self.images[number]
        pixels = read_image(file, self.shape[0])
        height, width = pixels.shape[1:]
        place = letterbox(height, width, self.shape)
        in_pixels = objects * np.array([1, width, height, width, height], np.float32)
        return place.image(pixels), target(in_pixels, place, self.rows)


def _labelled(root: Path, classes: int) -> tuple[Labelled, Labelled]:
    train, test = (
        [(image, read_label(label, classes)) for image, label in pairs]
        for pairs in image_pairs(root, "labels", ".txt", NAME)
    )
    return train, test


def read_label(path: Path, classes: int) -> Objects:
    """The objects of a label file, in fractions of the image; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from None
    return np.array(list(_objects(text, path, classes)), np.float32).reshape(-1, 5)


def _objects(text: str, path: Path, classes: int) -> Iterator[list[float]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        label, cx, cy, width, height = _five_numbers(line, where)
        if label not in range(classes):
            raise ModelError(
                f"{where}: class {label:g}, but there are {classes} classes, numbered from 0"
            )
        corners = [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]
        if fault := box_fault(corners, 1, 1, TOLERANCE):
            raise ModelError(f"{where}: {fault}", hint="boxes are cx cy w h, in 0…1")
        yield [label, *corners]


def _five_numbers(line: str, where: str) -> list[float]:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        numbers = []
    if len(numbers) != 5:
        raise ModelError(
            f"{where}: expected five numbers, class cx cy w h", hint="outlines are not read"
        )
    return numbers


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Reads the labels. None without a path; `load` says so."""
    path = args.get("path")
    if not isinstance(path, str):
        return None
    names = class_names(base / path, args.get("classes"), NAME)
    _labelled(base / path, len(names))
    return Outline((3, 128, 128), classes=len(names))


def contents(args: Mapping[str, Any], base: Path) -> FolderContents | None:
    path = args.get("path")
    return pairs_contents(base / path, "labels", NAME) if isinstance(path, str) else None


YOLO = Source(load=load, outline=outline, contents=contents, suppliers=("pillow",))
