"""Masks of COCO's annotations: polygons and run lengths, drawn by faster-coco-eval as COCO's own
tools draw them. Owns the order in which objects lie over one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.coco_json import AnnotatedImage, Annotation, Rle
from edgekit.data.letterbox import IGNORED
from edgekit.errors import ModelError
from edgekit.installing import install_command


@dataclass(frozen=True)
class ClassMask:
    """The objects of an image in the order they are painted: class and compressed run lengths."""

    height: int
    width: int
    objects: tuple[tuple[int, dict[str, Any]], ...]


def class_mask(image: AnnotatedImage, class_numbers: Mapping[int, int]) -> ClassMask:
    """The mask of an image, with 0 for the background and the class's number plus 1 for an object.

    Raises ModelError, with the ids of image and annotation, for a mask that is missing or damaged,
    and without the package faster-coco-eval."""
    runs = [(annotation, _runs(annotation, image)) for annotation in image.annotations]
    area = _mask_api().area
    # Crowds first, then the large ones, so that nothing covers a smaller object.
    runs.sort(key=lambda pair: (not pair[0].iscrowd, -float(area(pair[1]))))
    return ClassMask(
        image.height,
        image.width,
        tuple(
            (IGNORED if item.iscrowd else class_numbers[item.category_id] + 1, encoded)
            for item, encoded in runs
        ),
    )


def painted(mask: ClassMask) -> NDArray[np.uint8]:
    """The class of each pixel, of shape (height, width)."""
    pixels = np.zeros((mask.height, mask.width), np.uint8)
    decode = _mask_api().decode
    for number, runs in mask.objects:
        pixels[decode(runs).astype(bool)] = number
    return pixels


def _runs(annotation: Annotation, image: AnnotatedImage) -> dict[str, Any]:
    api = _mask_api()
    outline = annotation.segmentation
    try:
        if isinstance(outline, Rle):
            return _checked_runs(outline, image)
        if not outline or any(len(line) < 6 or len(line) % 2 for line in outline):
            raise ValueError("a polygon needs three points or more")
        runs: dict[str, Any] = api.merge(api.frPyObjects(outline, image.height, image.width))
        return runs
    except (ValueError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"data coco: image {image.id}, annotation {annotation.id}: its mask cannot be drawn:"
            f" {str(error).splitlines()[0]}"
        ) from None


def _checked_runs(runs: Rle, image: AnnotatedImage) -> dict[str, Any]:
    api = _mask_api()
    if runs.size != (image.height, image.width):
        raise ValueError(
            f"the mask is {runs.size[1]}×{runs.size[0]}, the image {image.width}×{image.height}"
        )
    encoded: dict[str, Any] = {"size": list(runs.size), "counts": runs.counts}
    if not isinstance(runs.counts, str):
        if sum(runs.counts) != image.height * image.width or min(runs.counts) < 0:
            raise ValueError("its run lengths do not fill the image")
        encoded = api.frPyObjects(encoded, image.height, image.width)
    api.decode(encoded)
    return encoded


def _mask_api() -> ModuleType:
    try:
        from faster_coco_eval.core import mask
    except ImportError:
        raise ModelError(
            "data coco: masks need the package faster-coco-eval, which is not installed",
            hint=install_command("detection"),
        ) from None
    return mask
