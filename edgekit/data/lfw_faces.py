"""A hundred faces of Labeled Faces in the Wild (Huang et al. 2007) and a hundred crops of other
photographs: the grey 25×25 pixels that the package scikit-image carries, split by seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.source import Outline, Request, Source
from edgekit.errors import ModelError
from edgekit.installing import install_command
from edgekit.registry.factory import module_file

NAME = "lfw_faces"
CLASSES = ("other", "face")
FACES = 100
"""The file has these first, then the others."""


def load(request: Request, *, test_fraction: float = 0.5) -> tuple[Any, ...]:
    """uint8 images, resized to the input's size. Raises ModelError: the package is missing, its
    file cannot be read, an input that is no image."""
    from PIL import Image

    from edgekit.data.images import check_channels, stratified

    check_channels(request.shape, NAME)
    height, width = request.shape[1:]
    resized = [
        Image.fromarray(np.uint8(np.rint(pixels * 255))).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for pixels in np.load(_file(request.base))
    ]
    images = np.stack([np.asarray(image) for image in resized])[:, None]
    labels = np.array([1] * FACES + [0] * (len(images) - FACES))
    train, test = stratified(labels, test_fraction, request.seed, NAME)
    return images[train], labels[train], images[test], labels[test], CLASSES


def _file(base: Path) -> Path:
    package = module_file("skimage", base)
    file = Path() if package is None else package.parent / "data" / "lfw_subset.npy"
    if package is None or not file.is_file():
        raise ModelError(
            f"data {NAME}: the package scikit-image, which holds it, is not installed",
            hint=install_command("data"),
        )
    return file


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((1, 25, 25), classes=len(CLASSES))


LFW_FACES = Source(load=load, outline=outline, suppliers=("scikit-image", "pillow"))
