"""From raw outputs to answers, as a program that uses the model does it after each inference. Owns
what a task may offer for it; how long it takes is edgekit.measure.host_steps's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from edgekit.tasks.task import Outputs, OwnTask, Task

Decode = Callable[[Outputs], object]


@runtime_checkable
class Decodes(Protocol):
    """A task whose answers need work beyond the model: the choice of a class, or of boxes."""

    def decoded(self, outputs: Outputs) -> object:
        """The answer to each sample."""
        ...


def decoding_of(task: Task) -> Decode | None:
    """How a task's outputs become answers; None where it does not say. What a task of a recipe's
    own raises becomes a ModelError."""
    if isinstance(task, OwnTask):
        own = task.task
        return task.own.guarded("decoded", own.decoded) if isinstance(own, Decodes) else None
    return task.decoded if isinstance(task, Decodes) else None
