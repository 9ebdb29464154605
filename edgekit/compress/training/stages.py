"""The stages that train, and the one that takes a model as it is. Each has a single method, without
a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edgekit.compress.method import Method, Result
from edgekit.compress.sections import StageBase, Training

if TYPE_CHECKING:
    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext


class Train(StageBase, Training):
    """Train the model."""

    stage: Literal["train"]


class Finetune(StageBase, Training):
    """Train on, usually after pruning. Masks of unstructured pruning hold."""

    stage: Literal["finetune"]


class Import(StageBase):
    """Take the model with its loaded weights as it is."""

    stage: Literal["import"]


def _train(context: StageContext, checkpoint: Checkpoint, section: Train | Finetune) -> Result:
    from edgekit.compress.context import train_whole
    from edgekit.compress.prune.masks import hold

    train_whole(
        context,
        checkpoint.model,
        section,
        after_step=hold(checkpoint.model, checkpoint.masks),
    )
    return checkpoint, _left_out(context, checkpoint)


def _left_out(context: StageContext, checkpoint: Checkpoint) -> tuple[str, ...]:
    """A note on outputs that the model only has while it trains."""
    from edgekit.compress.training.losses import TRAINING_STEP
    from edgekit.models.usable import left_out_while_training

    if hasattr(checkpoint.model, TRAINING_STEP):
        return ()
    names = left_out_while_training(checkpoint.model, context.example)
    return (f"left out of the loss: {', '.join(names)}",) if names else ()


def _import(context: StageContext, checkpoint: Checkpoint, section: Import) -> Result:
    return checkpoint, ()


TRAIN = Method(section=Train, run=_train)
FINETUNE = Method(section=Finetune, run=_train)
IMPORT = Method(section=Import, run=_import)
