"""Images with annotations in COCO's JSON: boxes, class masks, keypoints, or labels.

Owns which samples there are and what a target is made of; reading and checking the JSON is in
coco_json.py, drawing masks in coco_masks.py. Everything is checked before any image is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.data.boxes import Objects, row_count, target
from edgekit.data.coco_json import AnnotatedImage, Annotation, AnnotationFile, read_annotations
from edgekit.data.coco_masks import ClassMask, class_mask, painted
from edgekit.data.images import check_channels, read_image
from edgekit.data.letterbox import Letterbox, letterbox
from edgekit.data.source import Outline, Request, Source
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

NAME = "coco"
AROUND = 0.125
"""What is cut out around a person on each side, as a fraction of the box."""

Kind = Literal["boxes", "masks", "keypoints", "labels"]
Target = Callable[[Letterbox], NDArray[Any]]
"""The target of a sample, once it is known where its image lies in the input."""


@dataclass(frozen=True)
class Sample:
    """A part of an image, x1, y1, x2, y2, and what its target is."""

    image: AnnotatedImage
    part: tuple[int, int, int, int]
    target: Target


def load(
    request: Request,
    *,
    train_annotations: str,
    train_images: str,
    test_annotations: str,
    test_images: str,
    target: Kind = "boxes",
    max_objects: int | None = None,
) -> tuple[Any, ...]:
    """Streamed samples: images in a letterbox, as uint8 of the recipe's shape, and a target.

    `boxes`: float32 (M, 5), class, x1, y1, x2, y2 in pixels of the input, filled up with rows of
    class -1; M is `max_objects`, or as many as the fullest image has. Crowds are left out.
    `masks`: uint8 (H, W), 0 for the background and 1, 2, … for the classes; smaller objects lie
    over larger ones, and crowds and what is around the image are 255, ignored.
    `keypoints`: float32 (K, 3), x, y and whether the point is marked. A sample is a person with
    at least one marked point, cut out with an eighth of the box on each side.
    `labels`: int64 (C,) of 0 and 1, whether an image has the class. Crowds count.

    Raises ModelError: another `target`, and whatever is wrong with the annotations."""
    check_channels(request.shape, NAME)
    train, test = _files(
        request.base, train_annotations, train_images, test_annotations, test_images
    )
    if target not in SAMPLES:
        raise ModelError(
            f"data {NAME}: there is no target {target!r}", hint=f"one of {', '.join(SAMPLES)}"
        )
    samples = SAMPLES[target]([train, test], max_objects)
    names = ("background", *train.classes) if target == "masks" else train.classes
    names = train.keypoints if target == "keypoints" else names
    return (*(AnnotatedImages(part, request.shape) for part in samples), names)


@dataclass(frozen=True)
class AnnotatedImages:
    """A map-style dataset, see `load`. Raises ModelError for an image that cannot be decoded, or
    is of another size than its annotations say."""

    samples: Sequence[Sample]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, NDArray[Any]]:
        sample = self.samples[number]
        image = sample.image
        pixels = read_image(image.file, self.shape[0])
        if tuple(pixels.shape[1:]) != (image.height, image.width):
            raise ModelError(
                f"{image.file}: the image is {pixels.shape[2]}×{pixels.shape[1]}, but image"
                f" {image.id} of the annotations is {image.width}×{image.height}"
            )
        x1, y1, x2, y2 = sample.part
        place = letterbox(y2 - y1, x2 - x1, self.shape)
        return place.image(pixels[:, y1:y2, x1:x2]), sample.target(place)


def _whole(image: AnnotatedImage, target: Target) -> Sample:
    return Sample(image, (0, 0, image.width, image.height), target)


def _with_boxes(files: Sequence[AnnotationFile], max_objects: int | None) -> list[list[Sample]]:
    objects = [[_objects(image, file.class_numbers) for image in file.images] for file in files]
    rows = row_count([part for of_file in objects for part in of_file], max_objects, NAME)
    return [
        [
            _whole(image, BoxesTarget(part, rows))
            for image, part in zip(file.images, of_file, strict=True)
        ]
        for file, of_file in zip(files, objects, strict=True)
    ]


def _objects(image: AnnotatedImage, class_numbers: Mapping[int, int]) -> Objects:
    rows = [
        (class_numbers[annotation.category_id], *annotation.corners)
        for annotation in image.annotations
        if not annotation.iscrowd
    ]
    return np.array(rows, np.float32).reshape(-1, 5)


@dataclass(frozen=True)
class BoxesTarget:
    objects: Objects
    rows: int

    def __call__(self, place: Letterbox) -> NDArray[np.float32]:
        return target(self.objects, place, self.rows)


def _with_masks(files: Sequence[AnnotationFile], _: int | None) -> list[list[Sample]]:
    return [
        [_whole(image, MaskTarget(class_mask(image, file.class_numbers))) for image in file.images]
        for file in files
    ]


@dataclass(frozen=True)
class MaskTarget:
    mask: ClassMask

    def __call__(self, place: Letterbox) -> NDArray[np.uint8]:
        return place.mask(painted(self.mask))


def _with_keypoints(files: Sequence[AnnotationFile], _: int | None) -> list[list[Sample]]:
    parts = [
        [
            _person(image, annotation, len(files[0].keypoints))
            for image in file.images
            for annotation in image.annotations
            if not annotation.iscrowd and any(annotation.keypoints[2::3])
        ]
        for file in files
    ]
    if not all(parts):
        raise ModelError(
            f"data {NAME}: no annotation has a marked keypoint",
            hint="target: keypoints needs a file like person_keypoints_train2017.json",
        )
    return parts


def _person(image: AnnotatedImage, annotation: Annotation, count: int) -> Sample:
    if len(annotation.keypoints) != 3 * count:
        raise ModelError(
            f"data {NAME}: image {image.id}, annotation {annotation.id}:"
            f" {len(annotation.keypoints)} numbers of keypoints, but {count} points have"
            f" {3 * count}"
        )
    x1, y1, x2, y2 = annotation.corners
    across, down = AROUND * (x2 - x1), AROUND * (y2 - y1)
    part = (
        max(0, int(x1 - across)),
        max(0, int(y1 - down)),
        min(image.width, int(np.ceil(x2 + across))),
        min(image.height, int(np.ceil(y2 + down))),
    )
    points = np.array(annotation.keypoints).reshape(count, 3) - (*part[:2], 0)
    return Sample(image, part, PointsTarget(points))


@dataclass(frozen=True)
class PointsTarget:
    """`points` is of shape (K, 3): x and y in the part of the image, and COCO's visibility."""

    points: NDArray[np.float64]

    def __call__(self, place: Letterbox) -> NDArray[np.float32]:
        marked = self.points[:, 2:] > 0
        xy = np.where(marked, place.points(self.points[:, :2]), 0)
        return np.hstack([xy, marked]).astype(np.float32)


def _with_labels(files: Sequence[AnnotationFile], _: int | None) -> list[list[Sample]]:
    return [
        [_whole(image, LabelsTarget(_labels(image, file.class_numbers))) for image in file.images]
        for file in files
    ]


def _labels(image: AnnotatedImage, class_numbers: Mapping[int, int]) -> NDArray[np.int64]:
    labels = np.zeros(len(class_numbers), np.int64)
    labels[[class_numbers[annotation.category_id] for annotation in image.annotations]] = 1
    return labels


@dataclass(frozen=True)
class LabelsTarget:
    labels: NDArray[np.int64]

    def __call__(self, place: Letterbox) -> NDArray[np.int64]:
        return self.labels


SAMPLES: Mapping[str, Callable[[Sequence[AnnotationFile], int | None], list[list[Sample]]]] = {
    "boxes": _with_boxes,
    "masks": _with_masks,
    "keypoints": _with_keypoints,
    "labels": _with_labels,
}


def _files(
    base: Path, train_json: str, train_images: str, test_json: str, test_images: str
) -> tuple[AnnotationFile, AnnotationFile]:
    train = read_annotations(base / train_json, base / train_images)
    test = read_annotations(base / test_json, base / test_images)
    for what, of_train, of_test in (
        ("categories", train.classes, test.classes),
        ("keypoints", train.keypoints, test.keypoints),
    ):
        if of_train != of_test:
            raise ModelError(
                f"data {NAME}: {base / test_json} has other {what} than {base / train_json}",
                hint="both files need the same, in the same order of ids",
            )
    return train, test


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Reads and checks the annotations. None without their four paths; `load` says so."""
    keys = ("train_annotations", "train_images", "test_annotations", "test_images")
    places = [args.get(key) for key in keys]
    if not all(isinstance(place, str) for place in places):
        return None
    train, _ = _files(base, *map(str, places))
    count = {"keypoints": 0, "masks": len(train.classes) + 1}
    return Outline(
        (3, 128, 128), classes=count.get(str(args.get("target", "boxes")), len(train.classes))
    )


COCO = Source(load=load, outline=outline, suppliers=("pillow", "faster-coco-eval"))
