"""The loss of a model on training samples: that of its task or of the model itself, alone or shared
with a teacher's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgekit.data.dataset import in_turn, normalise
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, call
from edgekit.models.usable import own_answers
from edgekit.registry.own_code import own_code
from edgekit.states import States
from edgekit.tasks.task import Task

if TYPE_CHECKING:
    from edgekit.compress.context import StageContext


TRAINING_STEP = "training_step"
"""The method of a model that computes its loss by itself. A graph for QAT has none."""


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
    batch_number: int,
    states: States,
    answers: Callable[[Inputs], tuple[str, ...]] | None = None,
) -> Tensor:
    """The loss of a batch, over all steps where the model has `states`. Without targets, only the
    teacher's counts. Of several outputs only `answers` of a batch count, where they are given: a
    model may have others while it trains.

    Raises ModelError: targets or outputs that do not suit the task."""
    share = 0.0 if teacher is None else teacher.weight
    own_step = getattr(model, TRAINING_STEP, None)
    outputs = call(model, inputs, states) if own_step is None or share > 0 else {}
    if len(outputs) > 1 and answers is not None:
        outputs = own_answers(outputs, answers(inputs))
    loss = torch.zeros(())
    if targets is not None and share < 1:
        if own_step is None:
            of_targets = task.loss(outputs, targets, label_smoothing=label_smoothing)
        else:
            of_targets = _own_loss(own_step, inputs, targets, batch_number)
        loss = loss + (1 - share) * of_targets
    if teacher is not None and share > 0:
        with torch.no_grad():
            taught = call(teacher.model, inputs, states)
        loss = loss + share * task.distillation_loss(outputs, taught, teacher.temperature)
    return loss


def _own_loss(
    training_step: Callable[..., Any], inputs: Inputs, targets: Tensor, batch_number: int
) -> Tensor:
    """What a model's own `training_step(batch, batch_number)` returns: the loss, or a mapping that
    holds it under `loss`, as in PyTorch Lightning. A batch is (inputs, targets); a single input
    comes as a tensor, several as a mapping by name."""
    single = next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs)
    with own_code("the model's training_step", training_step.__module__):
        returned = training_step((single, targets), batch_number)
    loss = returned.get("loss") if isinstance(returned, Mapping) else returned
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ModelError(
            f"the model's training_step returned a {type(returned).__name__}, and no loss",
            hint="return the loss as a tensor with one number, or a mapping with it under `loss`",
        )
    return loss.reshape(())


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
    for number, batch in enumerate(train.batches(first)):
        yield training_loss(
            model,
            normalise(batch.inputs, train.specs),
            batch.targets,
            task=context.task,
            label_smoothing=0.0,
            teacher=None,
            batch_number=number,
            states=train.states,
        )
