"""Removing whole channels, with everything that depends on them. Finding and removing them is
channel_removal.py's; what lint says with the network at hand is channel_remarks.py's."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from edgekit.compress.method import Method, Result
from edgekit.compress.remarks import Place, Remark
from edgekit.compress.sections import (
    Fraction,
    Iterative,
    OneShot,
    Pattern,
    PruneBase,
    QuantizeBase,
    trainings,
)
from edgekit.yaml_documents.edits import Edit
from edgekit.yaml_documents.fields import Count, invalid
from edgekit.yaml_documents.problems import KeyPath, quoted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext

KERNEL_BLOCK = 8
"""Channels that XNNPACK's int8 kernels compute at a time."""
LOSS_BATCH = 64


class PruneStructured(PruneBase):
    """Remove whole channels, with everything that depends on them: the model gets smaller and
    faster.

    DepGraph, Fang et al. 2023, arXiv:2301.12900.
    """

    importance: Literal["magnitude", "taylor", "lamp", "bn_scale", "random"] = Field(
        default="magnitude", description="How a channel's worth is estimated."
    )
    ratio: Fraction | None = Field(
        default=None,
        description="Fraction of the channels to remove. Give this or `macs`.",
        examples=[0.3],
    )
    macs: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Remove channels until this fraction of the multiply-accumulates is left.",
        examples=[0.5],
    )
    scope: Literal["global", "layer"] = Field(
        default="layer", description="Rank channels over the whole model, or within each layer."
    )
    max_layer_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.9, description="No layer loses more than this fraction of its channels."
    )
    per_layer: dict[Pattern, Fraction] = Field(
        default={},
        description="Ratios of single layers, by pattern; they win over `ratio`.",
        examples=[{"features.0.*": 0.1}],
    )
    round_to: Count = Field(
        default=8,
        description=(
            "Keep channel counts a multiple of this (XNNPACK's int8 kernels work in blocks of 8)."
        ),
    )
    calibration_batches: Count = Field(
        default=8, description="For `taylor`: batches over which gradients are gathered."
    )
    schedule: Annotated[OneShot | Iterative, Field(discriminator="kind")] = Field(
        default=OneShot(), description="All at once, or in steps with training between."
    )

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.ratio is None and self.macs is None:
            raise invalid(
                "structured pruning needs a goal: `ratio` or `macs`",
                "e.g. `ratio: 0.3` removes 30 % of the channels",
            )
        if self.ratio is not None and self.macs is not None:
            raise invalid(
                "give `ratio` or `macs`, not both: each alone says how much to remove", key="macs"
            )
        return self


def _run(context: StageContext, checkpoint: Checkpoint, section: PruneStructured) -> Result:
    """Remove channels at once, or in steps with training between them."""
    from edgekit.compress.context import train_between
    from edgekit.compress.counting import count_macs_params

    model, schedule = checkpoint.model, section.schedule
    steps = schedule.steps if isinstance(schedule, Iterative) else 1
    removed: list[Any] = []
    macs_before, _ = count_macs_params(model, context.example)
    for step in range(1, steps + 1):
        removed += _remove(context, model, section, step=step, steps=steps, earlier=removed)
        if isinstance(schedule, Iterative):
            train_between(context, model, schedule.train, step=step, steps=steps)
    macs, _ = count_macs_params(model, context.example)
    history = (*checkpoint.pruning_history, *removed)
    note = f"{macs / macs_before:.1%} of the MACs left"
    return dataclasses.replace(checkpoint, pruning_history=history), (note,)


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
            Edit(path, better),
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
