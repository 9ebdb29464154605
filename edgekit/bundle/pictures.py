"""What a bundle shows of its answers: a few test samples, what is true of them, and what each
artifact says; and tables that count answers.

Owns the values and their file, `pictures.json`. They are plain numbers: no text of theirs is
markup, and an image is the bytes of its pixels. What is drawn of a task's outputs is the task's,
how it looks the report's."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from edgekit.bundle.manifest import Part
from edgekit.errors import ResultError

FILE = "pictures.json"
MAX_BYTES = 32 << 20
MAX_SIDE = 256
"""Of a stored image or mask, in pixels."""
MAX_SAMPLES = 32
MAX_SIGNALS = 4
MAX_POINTS = 512
"""Of a signal."""
MAX_CELLS = 20_000

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
ClassNumber = Annotated[int, Field(ge=0, lt=1 << 31)]
Side = Annotated[int, Field(gt=0, le=MAX_SIDE)]
Place = Annotated[int, Field(ge=0, lt=1 << 20)]
Signal = Annotated[tuple[Number, ...], Field(min_length=2, max_length=MAX_POINTS)]


def _up_to(most: int) -> BeforeValidator:
    """Only the first so many: what is shown stays small, whatever a model returns."""
    return BeforeValidator(lambda values: tuple(values)[:most])


class Pixels(Part):
    """A small image, or a mask of class numbers: uint8 of shape (height, width) or (height, width,
    3), as base64 of zlib's bytes."""

    height: Side
    width: Side
    channels: Literal[1, 3] = 1
    deflated: Annotated[str, Field(max_length=400_000)]

    @classmethod
    def of(cls, array: NDArray[np.uint8]) -> Self:
        """From an array of one of these shapes."""
        height, width, *channels = array.shape
        data = zlib.compress(np.ascontiguousarray(array, dtype=np.uint8).tobytes(), 9)
        return cls.model_validate(
            {
                "height": height,
                "width": width,
                "channels": channels[0] if channels else 1,
                "deflated": base64.b64encode(data).decode(),
            }
        )

    def array(self) -> NDArray[np.uint8]:
        shape = (self.height, self.width, *([3] if self.channels == 3 else []))
        return np.frombuffer(self._bytes(), dtype=np.uint8).reshape(shape)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(self._bytes()) != self.height * self.width * self.channels:
            raise ValueError("pixels are missing or left over")
        return self

    def _bytes(self) -> bytes:
        """At most one byte more than there should be."""
        size = self.height * self.width * self.channels
        try:
            data = base64.b64decode(self.deflated, validate=True)
            return zlib.decompressobj().decompress(data, size + 1)
        except (ValueError, zlib.error) as error:
            raise ValueError(f"no pixels: {error}") from None


class ClassShare(Part):
    """A class, and how sure the model is of it; None for what is true."""

    label: ClassNumber
    share: Share | None = None


class Box(Part):
    """An object: its class, how sure the model is, and x1, y1, x2, y2 in pixels of the input."""

    label: ClassNumber
    score: Share | None = None
    corners: tuple[Number, Number, Number, Number]


class Point(Part):
    """A place in pixels of the input. `visible` false: it is hidden in the image."""

    x: Number
    y: Number
    visible: bool = True


class Classes(Part):
    """Classes of a sample, the likeliest first."""

    kind: Literal["classes"] = "classes"
    classes: Annotated[tuple[ClassShare, ...], _up_to(5)]


class Numbers(Part):
    """Numbers of a sample, with their unit."""

    kind: Literal["numbers"] = "numbers"
    values: Annotated[tuple[Number, ...], _up_to(8)]
    unit: Annotated[str, Field(max_length=20)] = ""


class Boxes(Part):
    """Objects of a sample, the surest first."""

    kind: Literal["boxes"] = "boxes"
    boxes: Annotated[tuple[Box, ...], _up_to(50)]


class Points(Part):
    """Points of a sample, each time in the same order."""

    kind: Literal["points"] = "points"
    points: Annotated[tuple[Point, ...], _up_to(200)]


class Mask(Part):
    """The class of each pixel; 255 is ignored. It covers the whole input, at any size."""

    kind: Literal["mask"] = "mask"
    pixels: Pixels

    @classmethod
    def of(cls, classes: NDArray[Any]) -> Self:
        """From class numbers of shape (height, width), of which every so many are taken where there
        are more than can be stored."""
        step = -(-max(classes.shape) // MAX_SIDE)
        chosen = np.minimum(classes[::step, ::step], 255)
        return cls(pixels=Pixels.of(chosen.astype(np.uint8)))


Marks = Classes | Numbers | Boxes | Points | Mask
"""What is true of a sample, or what a model says."""
AnyMarks = Annotated[Marks, Field(discriminator="kind")]
Key = Annotated[str, Field(min_length=1, max_length=200)]


class Sample(Part):
    """A test sample by its number. `height` and `width` are those of the input, in which boxes and
    points are; `signals` are lines of a series; `answers` and `errors` are by artifact key."""

    number: Annotated[int, Field(ge=0)]
    chosen: Literal["first", "worst"]
    height: Place = 0
    width: Place = 0
    image: Pixels | None = None
    signals: Annotated[tuple[Signal, ...], Field(max_length=MAX_SIGNALS)] = ()
    truth: AnyMarks | None = None
    answers: Annotated[dict[Key, AnyMarks], Field(max_length=8)]
    errors: Annotated[dict[Key, Number], Field(default_factory=dict, max_length=8)]


class CountTable(Part):
    """How often each column goes with each row, such as the predicted with the true class. Rows are
    classes, and columns too unless `column_names` names them. `extra` names a last row and column
    that is no class, such as `nothing`."""

    rows: Annotated[str, Field(max_length=40)] = "true"
    columns: Annotated[str, Field(max_length=40)] = "predicted"
    counted: Annotated[str, Field(max_length=40)] = "samples"
    size: tuple[Place, Place]
    extra: Annotated[str, Field(max_length=40)] = ""
    column_names: Annotated[tuple[Annotated[str, Field(max_length=40)], ...], _up_to(8)] = ()
    cells: Annotated[
        tuple[tuple[Place, Place, Annotated[int, Field(gt=0, le=1 << 53)]], ...],
        Field(max_length=MAX_CELLS, description="Row, column, count, where it is not 0."),
    ]

    @classmethod
    def of(cls, counts: NDArray[np.integer], **words: Any) -> Self:
        """From counts of shape (rows, columns)."""
        return cls.of_cells(counts.shape, np.nonzero(counts), counts[np.nonzero(counts)], **words)

    @classmethod
    def of_cells(
        cls,
        size: tuple[int, ...],
        places: tuple[NDArray[np.integer], ...],
        counts: NDArray[np.integer],
        **words: Any,
    ) -> Self:
        """From the rows and columns of what is not 0, and its counts. Of very many cells the
        largest are kept."""
        largest = np.argsort(-counts, kind="stable")[:MAX_CELLS]
        columns = (each[largest].tolist() for each in (*places, counts))
        cells = tuple(zip(*columns, strict=True))
        return cls.model_validate({"size": size, "cells": cells, **words})

    @model_validator(mode="after")
    def _within(self) -> Self:
        if any(row >= self.size[0] or column >= self.size[1] for row, column, _ in self.cells):
            raise ValueError("a count outside the table")
        return self


class Pictures(Part):
    """What `pictures.json` holds. `error_label` says what `errors` of samples are; `worst_of` is
    the artifact whose worst samples they are; tables are by artifact key."""

    format: Literal[1] = 1
    error_label: Annotated[str, Field(max_length=40)] = ""
    worst_of: str = ""
    samples: Annotated[tuple[Sample, ...], Field(max_length=MAX_SAMPLES)] = ()
    tables: Annotated[dict[Key, CountTable], Field(default_factory=dict, max_length=8)]
    looked_at: Annotated[int, Field(ge=0)] = Field(
        description="Of how many test samples the worst were taken, and the answers counted."
    )


def read_pictures(file: Path) -> Pictures:
    """Raises ResultError: not such a file."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
        return Pictures.model_validate_json(file.read_bytes())
    except (ValueError, OSError) as error:
        raise ResultError(
            f"{file}: not what a report can show: {_first(error)}", hint="build the bundle again"
        ) from None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
