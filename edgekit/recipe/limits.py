"""The sections of a recipe about its result: what an artifact must reach, and how it is measured.
As schema.py, which puts them into the recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgekit.measure.settings import Settings
from edgekit.tasks.classification_names import TOP1_NAME
from edgekit.yaml_documents.fields import (
    Count,
    Finite,
    Name,
    NonNegative,
    Positive,
    Section,
    invalid,
)

Margin = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
DEADLINE_MISS_PERCENT = 1.0
DEADLINE_RISE_POINTS = 1.0


class Verify(Section):
    """When an artifact counts as the model it came from. Compared with eager PyTorch on real test
    samples; a failed check publishes nothing."""

    samples: Count = Field(default=64, description="Test samples compared.")
    snr_min_db: Finite = Field(
        default=20.0, description="Signal-to-noise ratio of the outputs, at least."
    )
    cosine_min: Annotated[float, Field(ge=-1, le=1)] = Field(
        default=0.99, description="Cosine similarity of the outputs, at least."
    )
    max_abs_error: Positive | None = Field(
        default=None,
        description="Largest absolute difference of any output, at most.",
        examples=[0.01],
    )
    agreement_min_percent: Percent = Field(
        default=98.0,
        description=(
            "How far the answers of artifact and eager agree, at least, as the task defines it: for"
            " classification the samples with the same top class."
        ),
    )


class MetricLimit(Section):
    """Limits of one metric of the task, in the metric's unit."""

    min: Finite | None = Field(default=None, description="At least this.", examples=[95.0])
    max: Finite | None = Field(default=None, description="At most this.", examples=[0.5])
    max_drop: NonNegative | None = Field(
        default=None,
        description="At most so much worse than the baseline variant.",
        examples=[1.0],
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.min is not None and self.max is not None and self.max < self.min:
            raise invalid(f"must be at least min {self.min:g}, got {self.max:g}", key="max")
        return self


class VariantBudget(Section):
    """Limits for one variant. Each applies to every artifact of it."""

    metrics: dict[Name, MetricLimit] = Field(
        default={},
        description="Limits of the exported artifact's metrics on the test set, by metric.",
        examples=[{TOP1_NAME: {"max_drop": 1.0}}],
    )
    runtimes_min_agreement_percent: Percent | None = Field(
        default=None, description="Test samples on which the .pte and the .tflite agree."
    )
    size_max_bytes: Count | None = Field(default=None, description="Artifact size.")
    size_min_shrink_ratio: Positive | None = Field(
        default=None, description="Times smaller than the baseline artifact of the same format."
    )
    latency_p50_max_ms: Positive | None = Field(
        default=None, description="Median latency on the target."
    )
    latency_min_speedup_ratio: Positive | None = Field(
        default=None,
        description=(
            "Times faster than the baseline artifact of the same format, interleaved on the same"
            " target."
        ),
    )
    deadline_ms: Positive | None = Field(
        default=None,
        description=(
            "How long an inference may take. Judged is the share of all counted inferences that"
            " take longer, with its interval over runs."
        ),
        examples=[33.3],
    )
    deadline_max_miss_percent: Percent | None = Field(
        default=None,
        description=(
            "Inferences that may miss deadline_ms, at most: the whole 95 % interval lies at or"
            f" below it. Default: {DEADLINE_MISS_PERCENT:g}."
        ),
        examples=[0.5],
    )
    peak_memory_max_bytes: Count | None = Field(
        default=None, description="Peak resident memory of the runner process on the target."
    )

    @model_validator(mode="after")
    def _misses_of_a_deadline(self) -> Self:
        if self.deadline_max_miss_percent is not None and self.deadline_ms is None:
            raise invalid("needs deadline_ms beside it", key="deadline_max_miss_percent")
        return self


class Budget(Section):
    """What the result must keep; the verdict of a run. A limit that could not be measured is not
    met."""

    baseline: Name | None = Field(
        default=None,
        description=(
            "The variant that drops, ratios and speed-ups refer to. Default: the first exported"
            " one."
        ),
        examples=["fp32"],
    )
    variants: dict[Name, VariantBudget] = Field(
        default={},
        description="Limits by variant name.",
        examples=[{"int8": {"metrics": {TOP1_NAME: {"max_drop": 1.0}}}}],
    )


class Bench(Settings):
    """How artifacts are measured on the target. Fewer than 10 runs is a `quick` measurement and
    never gates a release."""

    @model_validator(mode="after")
    def _time_for_the_minimum(self) -> Self:
        if self.max_seconds < self.min_seconds:
            raise invalid(
                f"must be at least min_seconds {self.min_seconds:g}, got {self.max_seconds:g}",
                key="max_seconds",
            )
        return self


class Gate(Section):
    """How much worse than its baseline a bundle may be, for `edgekit gate`. Ratios are candidate
    over baseline; null: not judged."""

    latency_p50_max_ratio: Margin | None = Field(default=1.05, description="Median latency.")
    latency_p99_max_ratio: Margin | None = Field(
        default=None,
        description="99th percentile of each run; needs 662 samples a run (bench.min_iterations).",
    )
    peak_memory_max_ratio: Margin | None = Field(
        default=1.05,
        description=(
            "What the model adds to the memory of its runner, at the peak; 256 KiB more or less"
            " are no difference."
        ),
    )
    size_max_ratio: Margin | None = Field(default=1.05, description="Artifact size.")
    deadline_ms: Positive | None = Field(
        default=None,
        description=(
            "How long an inference may take. Judged is the share of all counted inferences that"
            " take longer."
        ),
        examples=[33.3],
    )
    deadline_max_rise_points: NonNegative | None = Field(
        default=None,
        description=(
            "How many percentage points more inferences may miss deadline_ms than in the baseline."
            f" Default: {DEADLINE_RISE_POINTS:g}."
        ),
        examples=[0.1],
    )
    metrics: dict[Name, NonNegative | None] = Field(
        default={},
        description=(
            "How much worse each metric of the task may be, in its unit: on the device where the"
            " bundles hold an evaluation set, else on the build host. Default: the task's headline"
            " metric, by its own margin. null: not judged."
        ),
        examples=[{TOP1_NAME: 1.0}],
    )
    inconclusive: Literal["fail", "pass"] = Field(
        default="fail", description="What to do when the measurement does not tell."
    )

    @model_validator(mode="after")
    def _rise_of_a_deadline(self) -> Self:
        if self.deadline_max_rise_points is not None and self.deadline_ms is None:
            raise invalid("needs deadline_ms beside it", key="deadline_max_rise_points")
        return self
