"""The loss of a model on training samples: that of its task, alone or shared with a teacher's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgekit.data.dataset import in_turn, normalise
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, call
from edgekit.tasks.task import Task

if TYPE_CHECKING:
    from edgekit.compress.context import StageContext


@dataclass(frozen=True)
class Teacher:
    """A model to learn from. Its loss has the share `weight` of the whole, the task's loss the
    rest."""

    model: nn.Module
    temperature: float
    weight: float


def training_loss(
    model: nn.Module,
    inputs: Inputs,
    targets: Tensor | None,
    *,
    task: Task,
    label_smoothing: float,
    teacher: Teacher | None,
) -> Tensor:
    """The loss of a batch. Without targets, only the teacher's counts.

    Raises ModelError: targets or outputs that do not suit the task."""
    outputs = call(model, inputs)
    share = 0.0 if teacher is None else teacher.weight
    loss = torch.zeros(())
    if targets is not None and share < 1:
        loss = loss + (1 - share) * task.loss(outputs, targets, label_smoothing=label_smoothing)
    if teacher is not None and share > 0:
        with torch.no_grad():
            taught = call(teacher.model, inputs)
        loss = loss + share * task.distillation_loss(outputs, taught, teacher.temperature)
    return loss


def batch_losses(
    context: StageContext, model: nn.Module, *, batches: int, batch_size: int
) -> Iterator[Tensor]:
    """The mean loss of each of the first batches of training samples.

    Raises ModelError for data without labels."""
    train = context.train
    if not train.labelled:
        raise ModelError(
            "the losses of a model need labels, and this data has none",
            hint="use importance: magnitude",
        )
    first = in_turn(min(batches * batch_size, len(train)), batch_size)
    for batch in train.batches(first):
        assert batch.targets is not None
        yield context.task.loss(call(model, normalise(batch.inputs, train.specs)), batch.targets)
