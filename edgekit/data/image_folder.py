"""Your own images, a folder for each class: PATH/train/CLASS/*.jpg beside PATH/test/…, PATH/val/…
and the like, or PATH/CLASS/*.jpg, split by class and seed.

Owns whether they are held in memory; the folders are in class_folders.py, how an image is decoded
in images.py."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.data.class_folders import ClassFolders, Files
from edgekit.data.images import (
    SUFFIXES,
    check_channels,
    check_memory,
    covering,
    decoded,
    read_image,
)
from edgekit.data.source import LARGE_BYTES, Outline, Request, Source
from edgekit.data.split_folders import FolderContents

NAME = "image_folder"


def load(
    request: Request, *, path: str, test_fraction: float = 0.2, stream: bool | None = None
) -> tuple[Any, ...]:
    """Each image is turned upright, resized so that it covers the input, and cropped at the centre;
    grey for one channel, RGB for three. They are held in memory, one byte for each value, or with
    `stream` decoded while they are used; by default those that would take more than 256 MB are.

    Raises ModelError: no such folder, no images, damaged images (by name), too little memory."""
    import numpy as np

    check_channels(request.shape, NAME)
    folders = ClassFolders(NAME, request.base / path, SUFFIXES)
    train, test, classes = folders.split(test_fraction, request)
    count = len(train) + len(test)
    if stream is None:
        stream = count * math.prod(request.shape) > LARGE_BYTES
    if stream:
        return ImageFiles(train, request.shape), ImageFiles(test, request.shape), classes
    check_memory(count, request.shape, NAME)
    images = decoded([file for file, _ in [*train, *test]], request.shape, NAME)
    labels = np.array([label for _, label in [*train, *test]])
    cut = len(train)
    return images[:cut], labels[:cut], images[cut:], labels[cut:], classes


@dataclass(frozen=True)
class ImageFiles:
    """A map-style dataset: an image as uint8 of `shape`, and the number of its class."""

    files: Files
    shape: tuple[int, ...]

    @property
    def targets(self) -> list[int]:
        """The class of each image, as torchvision's datasets have it."""
        return [label for _, label in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Any, int]:
        file, label = self.files[number]
        return covering(read_image(file, self.shape[0]), self.shape), label


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Counts the folders of classes. None without a path; `load` says so."""
    path = args.get("path")
    if not isinstance(path, str):
        return None
    return Outline((3, 32, 32), classes=len(ClassFolders(NAME, base / path, SUFFIXES).classes()))


def contents(args: Mapping[str, Any], base: Path) -> FolderContents | None:
    path = args.get("path")
    return ClassFolders(NAME, base / path, SUFFIXES).contents() if isinstance(path, str) else None


IMAGE_FOLDER = Source(load=load, outline=outline, contents=contents, suppliers=("pillow",))
