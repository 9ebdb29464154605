"""Zeroing weights under masks at once, or in steps with training between them: what the methods
that choose masks share. Which weights go is the method's choice, through `masks_at`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edgekit.compress.checkpoint import Checkpoint
from edgekit.compress.context import StageContext, train_between
from edgekit.compress.prune.masks import Masks, apply_masks, hold, with_masks
from edgekit.compress.sections import Iterative, OneShot


def prune_in_steps(
    context: StageContext,
    checkpoint: Checkpoint,
    schedule: OneShot | Iterative,
    masks_at: Callable[[float], Masks],
) -> Checkpoint:
    """The checkpoint with its weights zeroed. `masks_at(share)` chooses the masks at a share of the
    way to the final sparsity, from the weights as they are then."""
    if not isinstance(schedule, Iterative):
        return masked(checkpoint, masks_at(1.0))
    model = checkpoint.model
    masks: Masks = {}
    for step in range(1, schedule.steps + 1):
        masks = masks_at(step / schedule.steps)
        apply_masks(model, masks)
        train_between(
            context,
            model,
            schedule.train,
            step=step,
            steps=schedule.steps,
            after_step=hold(model, with_masks(checkpoint.masks, masks)),
        )
    return masked(checkpoint, masks)


def masked(checkpoint: Checkpoint, masks: Masks) -> Checkpoint:
    """The checkpoint with these masks besides its own, and its weights zeroed under all of them."""
    merged = with_masks(checkpoint.masks, masks)
    apply_masks(checkpoint.model, merged)
    return dataclasses.replace(checkpoint, masks=merged)
