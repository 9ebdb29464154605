"""Decodings by name, with arguments of plain JSON: so a task says what a board shall do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .masks import masks
from .objects import Detector
from .points import points
from .scores import likely, rows_of, top_classes, unit_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Decode = Callable[[Mapping[str, NDArray[Any]]], object]


def of_first(answer: Callable[[NDArray[Any]], object]) -> Callable[[], Decode]:
    """A decoding without arguments that reads the first output."""
    return lambda: lambda outputs: answer(next(iter(outputs.values())))


def of_points(stride: float) -> Decode:
    return lambda outputs: points(next(iter(outputs.values())), stride)


def of_objects(**layout: Any) -> Decode:
    """The first output holds boxes, the second scores."""
    detector = Detector(**layout)
    return lambda outputs: detector.detections(*list(outputs.values())[:2])


DECODINGS: Mapping[str, Callable[..., Decode]] = {
    "top_classes": of_first(top_classes),
    "likely_classes": of_first(likely),
    "numbers": of_first(rows_of),
    "masks": of_first(lambda scores: list(masks(scores))),
    "unit_vectors": of_first(unit_vectors),
    "points": of_points,
    "objects": of_objects,
}


def decoder(name: str, args: Mapping[str, Any]) -> Decode:
    """How the real outputs of a batch, in the model's order, become the answer to each sample."""
    return DECODINGS[name](**args)
