"""Zeroing single weights, at once, in steps, or rising while the model trains. The masks are
masks.py's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from edgekit.compress.method import Method, Result
from edgekit.compress.remarks import Remark
from edgekit.compress.sections import Fraction, Iterative, OneShot, PruneBase, Training
from edgekit.yaml_documents.edits import ValueEdit
from edgekit.yaml_documents.fields import Count, Positive, Section, invalid
from edgekit.yaml_documents.problems import KeyPath

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext


class Polynomial(Section):
    """Sparsity rises while training: s(t) = final + (initial − final)·(1 − (t − begin)/(end −
    begin))^power.

    Zhu & Gupta 2017, arXiv:1710.01878, as in TensorFlow's model optimization toolkit.
    """

    kind: Literal["polynomial"]
    initial_sparsity: Fraction = Field(default=0.0, description="Sparsity at `begin_step`.")
    begin_step: Annotated[int, Field(ge=0)] = Field(
        default=0, description="First training step that prunes."
    )
    end_step: Count | None = Field(
        default=None,
        description="Step that reaches the final sparsity. Default: 3/4 of the training steps.",
    )
    power: Positive = Field(default=3.0, description="Exponent of the decay.")
    frequency: Count = Field(default=100, description="Update the masks every so many steps.")
    train: Training = Field(
        description="The training during which the sparsity rises.", examples=[{"epochs": 3}]
    )

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.end_step is not None and self.end_step <= self.begin_step:
            raise invalid(
                f"must come after begin_step {self.begin_step}, got {self.end_step}", key="end_step"
            )
        return self


Schedule = Annotated[OneShot | Iterative | Polynomial, Field(discriminator="kind")]


class PruneUnstructured(PruneBase):
    """Zero single weights. Makes the compressed file smaller; does not speed up dense kernels."""

    criterion: Literal["l1", "random"] = Field(
        default="l1", description="Which weights go: the smallest magnitude, or chance."
    )
    scope: Literal["global", "layer"] = Field(
        default="layer", description="Rank weights over the whole model, or within each layer."
    )
    sparsity: Fraction = Field(description="Final fraction of zero weights.", examples=[0.5])
    parameters: tuple[str, ...] = Field(
        default=("weight",), description="Which parameters of each layer."
    )
    schedule: Schedule = Field(
        default=OneShot(), description="All at once, in steps, or rising while training."
    )

    @model_validator(mode="after")
    def _sparsity_rises(self) -> Self:
        if isinstance(self.schedule, Polynomial) and self.sparsity < self.schedule.initial_sparsity:
            initial = self.schedule.initial_sparsity
            raise invalid(
                f"the final sparsity must be at least the initial_sparsity {initial:g}, got"
                f" {self.sparsity:g}",
                key="sparsity",
            )
        return self


def _run(context: StageContext, checkpoint: Checkpoint, section: PruneUnstructured) -> Result:
    from edgekit.compress.prune.mask_schedules import masked, prune_in_steps
    from edgekit.compress.prune.masks import magnitude_masks

    schedule = section.schedule
    if isinstance(schedule, Polynomial):
        masks = _train_to_sparsity(context, checkpoint, section, schedule)
        return masked(checkpoint, masks), ()

    def masks_at(share: float) -> dict[str, Tensor]:
        return magnitude_masks(
            checkpoint.model, sparsity=section.sparsity * share, **_choice(context, section)
        )

    return prune_in_steps(context, checkpoint, schedule, masks_at), ()


def _train_to_sparsity(
    context: StageContext, checkpoint: Checkpoint, section: PruneUnstructured, schedule: Polynomial
) -> dict[str, Tensor]:
    """Train while the sparsity rises; returns the final masks."""
    from edgekit.compress.context import train_whole
    from edgekit.compress.prune.gradual import gradual_masks
    from edgekit.compress.prune.masks import hold

    steps = _training_steps(len(context.train), schedule.train)
    after_step, masks = gradual_masks(
        checkpoint.model,
        initial=schedule.initial_sparsity,
        final=section.sparsity,
        begin_step=schedule.begin_step,
        end_step=schedule.end_step or max(schedule.begin_step + 1, steps * 3 // 4),
        power=schedule.power,
        frequency=schedule.frequency,
        **_choice(context, section),
    )
    hold_earlier = hold(checkpoint.model, checkpoint.masks)

    def after_each_step(step: int) -> None:
        after_step(step)
        if hold_earlier is not None:
            hold_earlier(step)

    train_whole(context, checkpoint.model, schedule.train, after_step=after_each_step)
    return masks()


def _choice(context: StageContext, section: PruneUnstructured) -> dict[str, Any]:
    """Which weights are ranked, and how."""
    return {
        "criterion": section.criterion,
        "scope": section.scope,
        "include": section.include,
        "exclude": section.exclude,
        "parameters": section.parameters,
        "seed": context.seed,
    }


def _training_steps(samples: int, training: Training) -> int:
    from edgekit.compress.training.fit import steps_total

    return steps_total(samples, training.batch_size, training.epochs)


def _lint_samples(
    section: PruneUnstructured, count_samples: Callable[[], int | None]
) -> Iterator[Remark]:
    """A rising schedule that is not over when its training is."""
    schedule = section.schedule
    if not isinstance(schedule, Polynomial) or _surely_ends(schedule):
        return
    samples = count_samples()
    if samples is None:
        return
    steps = _training_steps(samples, schedule.train)
    for key, value, better in (
        ("end_step", schedule.end_step, max(1, steps * 3 // 4)),
        ("begin_step", schedule.begin_step, 0),
        ("frequency", schedule.frequency, max(1, steps // 20)),
    ):
        if value is not None and value > steps:
            path: KeyPath = ("schedule", key)
            yield Remark(
                "schedule-after-training",
                "error",
                path,
                f"{key} {value} comes after the training has ended: {schedule.train.epochs:g}"
                f" epochs are {steps} steps",
                f"{key}: {better}",
                ValueEdit(path, better),
            )


def _surely_ends(schedule: Polynomial) -> bool:
    """Whether the schedule ends in time for any number of samples."""
    return schedule.end_step is None and schedule.begin_step == 0 and schedule.frequency <= 1


UNSTRUCTURED = Method(section=PruneUnstructured, run=_run, lint_samples=_lint_samples)
