"""The losses of a model on training samples, for what needs gradients but trains nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.models.calling import call

if TYPE_CHECKING:
    from edgekit.compress.context import StageContext


def batch_losses(
    context: StageContext, model: nn.Module, *, batches: int, batch_size: int
) -> Iterator[Tensor]:
    """The mean loss of each of the first batches of training samples.

    Raises ModelError for data without labels."""
    labels = context.train.targets
    if labels is None:
        raise ModelError(
            "the losses of a model need labels, and this data has none",
            hint="use importance: magnitude",
        )
    for start in range(0, min(batches * batch_size, len(context.train)), batch_size):
        index = slice(start, start + batch_size)
        yield context.task.loss(call(model, context.train.at(index)), labels[index])
