"""What the stages of a recipe have in common: their keys, the training loop's, and those of every
way to prune and to quantize. A method's own section extends one of these, in the method's module.

Owns keys, types, ranges, defaults and descriptions. Knows no torch and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeGuard

from pydantic import Field, model_validator

from edgekit.yaml_documents.fields import Count, Name, NonNegative, Positive, Section, invalid
from edgekit.yaml_documents.problems import KeyPath

if TYPE_CHECKING:
    from edgekit.compress.method import Method

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Pattern = Annotated[
    str,
    Field(
        min_length=1,
        description="A layer's dotted name, or a shell-style pattern such as `features.*.conv`.",
    ),
]


class Distill(Section):
    """Knowledge distillation from an earlier stage (Hinton et al. 2015, arXiv:1503.02531)."""

    teacher: Name = Field(
        description="The name of the stage whose model teaches.", examples=["fp32"]
    )
    temperature: Positive = Field(default=4.0, description="Softens both distributions.")
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the distillation loss; the rest is the label loss."
    )


class Training(Section):
    """The training loop. Shared by train, finetune, gradual pruning and QAT."""

    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1,
        description="Passes over the training set; a fraction stops within the last pass.",
    )
    batch_size: Count = Field(default=64, description="Samples per step.")
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        default="adamw", description="The optimiser, as torch.optim names it."
    )
    lr: Positive = Field(default=1e-3, description="Peak learning rate.")
    weight_decay: NonNegative = Field(default=0.0, description="Decoupled for adamw, L2 otherwise.")
    momentum: Fraction = Field(default=0.9, description="For sgd and rmsprop.")
    schedule: Literal["constant", "cosine", "linear", "step"] = Field(
        default="cosine", description="How the learning rate falls over the steps."
    )
    warmup_epochs: NonNegative = Field(
        default=0.0, description="Linear rise of the learning rate from 0."
    )
    step_epochs: Positive = Field(
        default=10.0,
        description=(
            "For `schedule: step`: the learning rate is multiplied by 0.1 every so many epochs."
        ),
    )
    label_smoothing: Fraction = Field(default=0.0, description="Szegedy et al. 2016.")
    gradient_clip_norm: Positive | None = Field(
        default=None, description="Clip the global gradient norm to this.", examples=[1.0]
    )
    augment: tuple[str | dict[str, dict[str, Any]], ...] = Field(
        default=(),
        description=(
            "torchvision.transforms.v2 transforms by name, applied per batch in training; also"
            " `MixUp` and `CutMix` (with `alpha`)."
        ),
        examples=[
            [
                "RandomHorizontalFlip",
                {"RandomCrop": {"size": 32, "padding": 4}},
                {"MixUp": {"alpha": 0.2}},
            ]
        ],
    )
    distill: Distill | None = Field(
        default=None,
        description="Learn from an earlier stage's model too.",
        examples=[{"teacher": "fp32"}],
    )

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs > self.epochs:
            raise invalid(
                f"the warm-up is longer than the training of {self.epochs:g} epochs",
                key="warmup_epochs",
            )
        return self


class StageBase(Section):
    """What every stage has. The stage kind is the key `stage`.

    `entry` is the method behind the section; recipe/stage_types.py sets it."""

    entry: ClassVar[Method]

    name: Name | None = Field(
        default=None,
        description=(
            "How later stages (`from`, `distill.teacher`) and the trace call it. Default: the"
            " variant it exports, else KIND-N."
        ),
        examples=["pruned"],
    )
    from_: Name | None = Field(
        default=None,
        alias="from",
        description="Continue from this stage instead of the one written before: a branch.",
        examples=["fp32"],
    )
    export: Name | None = Field(
        default=None,
        description=(
            "Publish the result of this stage as the variant of this name, for each of"
            " `export.backends`."
        ),
        examples=["fp32", "int8"],
    )
    stage: str


class OneShot(Section):
    """Prune to the target at once."""

    kind: Literal["one_shot"] = "one_shot"


class Iterative(Section):
    """Prune in equal steps and train between them."""

    kind: Literal["iterative"]
    steps: Annotated[int, Field(ge=2)] = Field(default=5, description="Number of pruning steps.")
    train: Training = Field(default=Training(epochs=1), description="The training after each step.")


class PruneBase(StageBase):
    """What every way to prune has."""

    stage: Literal["prune"]
    method: str
    include: tuple[Pattern, ...] = Field(
        default=("*",), description="Prune only layers whose name matches one of these."
    )
    exclude: tuple[Pattern, ...] = Field(
        default=(),
        description="Never prune layers whose name matches one of these.",
        examples=[["classifier.*"]],
    )


class QuantizeBase(StageBase):
    """What every way to quantize has."""

    stage: Literal["quantize"]
    method: str
    keep_float: tuple[Pattern, ...] = Field(
        default=(), description="Layers left in float, by pattern.", examples=[["classifier.*"]]
    )


def is_own(section: StageBase) -> TypeGuard[PruneBase | QuantizeBase]:
    """Whether a recipe names the method of this section itself, as `package.module:OBJECT`."""
    return isinstance(section, PruneBase | QuantizeBase) and ":" in section.method


def trainings(section: Section) -> Iterator[tuple[KeyPath, Training]]:
    """The training loops in a section, at any depth, each with its path from the section on."""
    if isinstance(section, Training):
        yield (), section
        return
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Section):
            yield from (((key, *path), training) for path, training in trainings(value))
