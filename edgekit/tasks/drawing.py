"""What can be shown of a task's answers. Owns the two things that a task may offer for it, and
asking a task for them; the values are those of edgekit.bundle.pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.pictures import CountTable, Marks
from edgekit.errors import ModelError
from edgekit.registry.factory import OwnObject
from edgekit.tasks.task import Outputs, OwnTask, Task

Size = tuple[int, int]
"""Height and width of an image in pixels."""


@runtime_checkable
class Draws(Protocol):
    """A task whose answers can be drawn, sample by sample."""

    @property
    def error_label(self) -> str:
        """What `errors` gives, such as `loss`."""
        ...

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        """What the model says of each sample, of an image of this size or of no image; empty where
        these outputs say nothing that can be drawn."""
        ...

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        """What is true of each sample."""
        ...

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """How wrong the answer to each sample is, of shape (samples,): 0 is right."""
        ...


@runtime_checkable
class CountsAnswers(Protocol):
    """A task whose answers can be counted in a table, such as a confusion matrix."""

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        """The table of all these samples; None where the outputs do not have it."""
        ...


@dataclass(frozen=True)
class OwnDrawing:
    """As OwnTask: whatever a task of a recipe's own raises becomes a ModelError with its line."""

    task: Draws
    own: OwnObject

    @property
    def error_label(self) -> str:
        with self.own.runs("error_label"):
            return self.task.error_label

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        with self.own.runs("drawn"):
            return _marks(self.task.drawn(outputs, size))

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        with self.own.runs("drawn_targets"):
            return _marks(self.task.drawn_targets(targets))

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        with self.own.runs("errors"):
            values = np.asarray(self.task.errors(outputs, targets), dtype=np.float64)
        if values.shape != (len(targets),) or not np.isfinite(values).all():
            raise ModelError(
                f"task {self.own.name}: its errors must be one finite number for each sample"
            )
        return values


@dataclass(frozen=True)
class OwnCounting:
    """As OwnDrawing, for the table."""

    task: CountsAnswers
    own: OwnObject

    def counted(self, outputs: Outputs, targets: NDArray[Any]) -> CountTable | None:
        with self.own.runs("counted"):
            table = self.task.counted(outputs, targets)
            if not isinstance(table, CountTable | None):
                raise ModelError(f"it returns {type(table).__name__}, not a CountTable")
            return table


def drawing_of(task: Task) -> Draws | None:
    """How a task's answers are drawn; None where it does not say."""
    if isinstance(task, OwnTask):
        return OwnDrawing(task.task, task.own) if isinstance(task.task, Draws) else None
    return task if isinstance(task, Draws) else None


def counting_of(task: Task) -> CountsAnswers | None:
    """How a task's answers are counted; None where it does not say."""
    if isinstance(task, OwnTask):
        return OwnCounting(task.task, task.own) if isinstance(task.task, CountsAnswers) else None
    return task if isinstance(task, CountsAnswers) else None


def _marks(values: Sequence[Marks]) -> Sequence[Marks]:
    marks = list(values)
    if wrong := [each for each in marks if not isinstance(each, Marks)]:
        raise ModelError(
            f"a {type(wrong[0]).__name__} cannot be drawn",
            hint="give Classes, Numbers, Boxes, Points or Mask of edgekit.bundle.pictures",
        )
    return marks
