"""COCO's annotation files (https://cocodataset.org/#format-data): reading one and checking all that
is in it before any image is used. Owns what is wrong with annotations; imports no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from edgekit.data.boxes import box_fault
from edgekit.errors import ModelError

TOLERANCE_PIXELS = 1.0
"""How far a box may reach over the border: COCO's own are rounded."""
SHOWN = 10

Number = Annotated[float, Field(allow_inf_nan=False)]


class Rle(BaseModel):
    """A mask as run lengths, in columns: a list, or COCO's compressed text."""

    size: tuple[int, int]
    counts: list[int] | str


class Annotation(BaseModel):
    """One object of an image; with `iscrowd`, a group of objects that are not told apart."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[Number, Number, Number, Number]
    iscrowd: bool = False
    segmentation: list[list[Number]] | Rle | None = None
    keypoints: list[Number] = []

    @property
    def corners(self) -> tuple[float, float, float, float]:
        x, y, width, height = self.bbox
        return x, y, x + width, y + height


class Category(BaseModel):
    id: int
    name: str
    keypoints: list[str] = []


class ImageEntry(BaseModel):
    id: int
    file_name: str
    height: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]


class Document(BaseModel):
    images: Annotated[list[ImageEntry], Field(min_length=1)]
    annotations: Annotated[list[Annotation], Field(min_length=1)]
    categories: Annotated[list[Category], Field(min_length=1)]


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file, the size its annotations are for, and these."""

    id: int
    file: Path
    height: int
    width: int
    annotations: Sequence[Annotation]


@dataclass(frozen=True)
class AnnotationFile:
    """What is in a file, all of it checked. Classes are the categories in the order of their ids;
    `class_numbers` leads from an id to a class's number."""

    images: Sequence[AnnotatedImage]
    classes: tuple[str, ...]
    class_numbers: Mapping[int, int]
    keypoints: tuple[str, ...]


def read_annotations(path: Path, images: Path) -> AnnotationFile:
    """The annotations of the images that lie in a folder.

    Raises ModelError: a file that is not COCO's JSON, without images, annotations or categories;
    and, with the ids of image and annotation: an unknown image or category, an image file that is
    not there, a box that is outside its image or has no area."""
    document = _document(path)
    faults = list(_faults(document, images))
    if faults:
        rest = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise ModelError(
            f"{path}: {'; '.join(faults[:SHOWN])}{rest}", hint="correct the file, or the images"
        )
    of_images = defaultdict(list)
    for annotation in document.annotations:
        of_images[annotation.image_id].append(annotation)
    categories = sorted(document.categories, key=lambda category: category.id)
    return AnnotationFile(
        [
            AnnotatedImage(
                entry.id, images / entry.file_name, entry.height, entry.width, of_images[entry.id]
            )
            for entry in document.images
        ],
        tuple(category.name for category in categories),
        {category.id: number for number, category in enumerate(categories)},
        next((tuple(category.keypoints) for category in categories if category.keypoints), ()),
    )


def _document(path: Path) -> Document:
    try:
        return Document.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="paths in data.args are relative to the recipe",
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"{path}: {place}: {first['msg']}",
            hint="expected COCO's JSON: images, annotations and categories",
        ) from None


def _faults(document: Document, folder: Path) -> Iterator[str]:
    entries = {entry.id: entry for entry in document.images}
    categories = {category.id: category for category in document.categories}
    if len(entries) < len(document.images):
        yield "several images have one id"
    for entry in document.images:
        if not (folder / entry.file_name).is_file():
            yield f"image {entry.id}: there is no file {folder / entry.file_name}"
    for annotation in document.annotations:
        where = f"image {annotation.image_id}, annotation {annotation.id}"
        for fault in _annotation_faults(annotation, entries, categories):
            yield f"{where}: {fault}"


def _annotation_faults(
    annotation: Annotation, images: Mapping[int, ImageEntry], categories: Mapping[int, Category]
) -> Iterator[str]:
    if annotation.category_id not in categories:
        yield f"there is no category {annotation.category_id}"
    if annotation.image_id not in images:
        yield "there is no such image"
        return
    image = images[annotation.image_id]
    fault = box_fault(annotation.corners, image.width, image.height, TOLERANCE_PIXELS)
    if fault and not annotation.iscrowd:
        yield f"{fault}: {', '.join(f'{number:g}' for number in annotation.bbox)}"
