"""Removing whole channels, with everything that depends on them. Finding and removing them is
channel_removal.py's; its section of a recipe is structured_section.py's; what lint says with the
network at hand is channel_remarks.py's."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edgekit.compress.method import Method, Result
from edgekit.compress.prune.structured_section import PruneStructured
from edgekit.compress.remarks import Place, Remark
from edgekit.compress.sections import Iterative, QuantizeBase, trainings
from edgekit.yaml_documents.edits import ValueEdit
from edgekit.yaml_documents.problems import KeyPath, quoted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext

KERNEL_BLOCK = 8
"""Channels that XNNPACK's int8 kernels compute at a time."""
LOSS_BATCH = 64


def _run(context: StageContext, checkpoint: Checkpoint, section: PruneStructured) -> Result:
    """Remove channels at once, or in steps with training between them."""
    from edgekit.compress.context import train_between
    from edgekit.compress.counting import count_macs_params

    model, schedule = checkpoint.model, section.schedule
    steps = schedule.steps if isinstance(schedule, Iterative) else 1
    removed: list[Any] = []
    macs_before, _ = count_macs_params(model, context.example)
    notes = _whole(model, context.example)
    for step in range(1, steps + 1):
        removed += _remove(context, model, section, step=step, steps=steps, earlier=removed)
        if isinstance(schedule, Iterative):
            train_between(context, model, schedule.train, step=step, steps=steps)
    macs, _ = count_macs_params(model, context.example)
    history = (*checkpoint.pruning_history, *removed)
    notes = (f"{macs / macs_before:.1%} of the MACs left", *notes)
    return dataclasses.replace(checkpoint, pruning_history=history), notes


def _whole(model: nn.Module, example: Mapping[str, Tensor]) -> tuple[str, ...]:
    """A note on layers whose channels cannot be followed."""
    from edgekit.compress.prune.channel_removal import channel_groups
    from edgekit.prose import some

    members = [name for group in channel_groups(model, example).whole for name in group.members]
    return (f"whole, as their channels cannot be followed: {some(members)}",) if members else ()


def _remove(
    context: StageContext,
    model: nn.Module,
    section: PruneStructured,
    *,
    step: int,
    steps: int,
    earlier: list[Any],
) -> list[list[Any]]:
    """One step of a schedule. Its ratios count from the channels before the first step, `macs` from
    those that the step before left."""
    from edgekit.compress.prune.channel_removal import prune_structured

    return prune_structured(
        model,
        context.example,
        importance=section.importance,
        ratio=None if section.ratio is None else section.ratio * step / steps,
        macs=None if section.macs is None else section.macs ** (1 / steps),
        scope=section.scope,
        max_layer_ratio=section.max_layer_ratio,
        per_layer={pattern: ratio * step / steps for pattern, ratio in section.per_layer.items()},
        include=section.include,
        exclude=section.exclude,
        round_to=section.round_to,
        loss_batches=_losses(context, section.calibration_batches),
        earlier=list(earlier) if steps > 1 else None,
    )


def _losses(context: StageContext, batches: int) -> Callable[[nn.Module], Iterable[Tensor]]:
    """A function that gives a model's losses on training batches, for importances that need
    gradients."""
    from edgekit.compress.training.losses import batch_losses

    return lambda model: batch_losses(context, model, batches=batches, batch_size=LOSS_BATCH)


def _preview(
    model: nn.Module, example: Mapping[str, Tensor], section: PruneStructured
) -> nn.Module:
    """Which channels go does not matter to how many, so that magnitude stands for any importance
    and random weights for trained ones."""
    from edgekit.compress.prune.channel_removal import prune_structured

    pruned = copy.deepcopy(model)
    prune_structured(
        pruned,
        example,
        importance="magnitude",
        ratio=section.ratio,
        macs=section.macs,
        scope=section.scope,
        max_layer_ratio=section.max_layer_ratio,
        per_layer=section.per_layer,
        include=section.include,
        exclude=section.exclude,
        round_to=section.round_to,
    )
    return pruned


def _lint(section: PruneStructured, place: Place) -> Iterator[Remark]:
    yield from _round_to(section, place)
    yield from _untrained(section, place)


def _round_to(section: PruneStructured, place: Place) -> Iterator[Remark]:
    int8 = any(
        stage.entry.scheme.weights == "int8" and stage.entry.scheme.activations == "static"
        for stage in place.later
    )
    if int8 and section.round_to % KERNEL_BLOCK:
        better = -(-section.round_to // KERNEL_BLOCK) * KERNEL_BLOCK
        path: KeyPath = ("round_to",)
        yield Remark(
            "round-to-kernel",
            "warning",
            path,
            f"channels in multiples of {section.round_to} leave the int8 kernels, which compute"
            f" {KERNEL_BLOCK} at a time, partly idle",
            f"round_to: {better}",
            ValueEdit(path, better),
        )


def _untrained(section: PruneStructured, place: Place) -> Iterator[Remark]:
    if isinstance(section.schedule, Iterative):
        return
    quantized_at_once = any(
        isinstance(stage, QuantizeBase) and not list(trainings(stage)) for stage in place.following
    )
    if section.export or quantized_at_once:
        yield Remark(
            "untrained-after-prune",
            "warning",
            (),
            f"stage {quoted(place.name)} removes channels, and nothing is trained before the"
            " result is used",
            "add `- stage: finetune` after it",
        )


def _lint_model(
    section: PruneStructured, model: nn.Module, example: Mapping[str, Tensor]
) -> Iterator[Remark]:
    from edgekit.compress.prune.channel_remarks import channel_remarks

    return channel_remarks(section, model, example)


STRUCTURED = Method(
    section=PruneStructured,
    run=_run,
    preview=_preview,
    lint=_lint,
    lint_model=_lint_model,
)
