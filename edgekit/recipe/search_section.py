"""The section of a recipe about a search: which of its keys are searched, for what, and within
which limits. As schema.py, which puts it into the recipe. What a search does is
edgekit.searching's."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from edgekit.yaml_documents.fields import Count, Finite, Matches, Name, Positive, Section, invalid

MEASURED = ("latency_p50_ms", "peak_memory_bytes")
"""Quantities that only a board tells."""
COUNTED = ("size_bytes", "macs")
MOST_OBJECTIVES = 4

Number = Annotated[int | float, Field(union_mode="left_to_right")]
ParameterKey = Annotated[
    str,
    Matches(
        r'(model|inputs|data|stages)(\.("[^"]*"|[^".]+))+',
        "expected a key below model, inputs, data or stages, as `--set` takes it, such as"
        " `stages.pruned.macs`",
    ),
]
SearchedQuantity = Annotated[
    str,
    Matches(
        "|".join((*MEASURED, *COUNTED, r"metrics\.[a-z][a-z0-9_]{0,63}")),
        f"expected {', '.join((*MEASURED, *COUNTED))}, or metrics.NAME of the task",
    ),
]


class Parameter(Section):
    """What a key may be: a number from `low` to `high`, or one of `choices`."""

    low: Number | None = Field(
        default=None,
        description="The smallest value. Whole numbers where `low` and `high` are written as such.",
        examples=[0.2],
    )
    high: Number | None = Field(default=None, description="The largest value.", examples=[0.9])
    step: Number | None = Field(
        default=None,
        description="Only values in steps of this, counted from `low`.",
        examples=[0.1],
    )
    log: bool = Field(
        default=False, description="As many values below 0.01 as between 0.01 and 0.1."
    )
    choices: tuple[Any, ...] = Field(
        default=(),
        description="The values to choose from, of any kind, whole stages included.",
        examples=[["minmax", "histogram"]],
    )
    when: dict[ParameterKey, Any] = Field(
        default={},
        description=(
            "Search the key only where other parameters have these values; a list names several."
            " Elsewhere the key is as the recipe has it."
        ),
        examples=[{"stages.pruned.importance": "taylor"}],
    )

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> Self:
        if self.choices:
            for key in ("low", "high", "step"):
                if getattr(self, key) is not None:
                    raise invalid("choices have no range", key=key)
            if self.log:
                raise invalid("choices have no range", key="log")
            return self
        if self.low is None or self.high is None:
            raise invalid("a parameter needs `low` and `high`, or `choices`")
        if self.high <= self.low:
            raise invalid(f"must be more than low {self.low:g}, got {self.high:g}", key="high")
        return self

    @model_validator(mode="after")
    def _steps_fit_the_range(self) -> Self:
        if self.log and self.low is not None and self.low <= 0:
            raise invalid("a logarithmic range begins above 0", key="low")
        if self.step is None or self.low is None or self.high is None:
            return self
        if self.log:
            raise invalid("a logarithmic range has no steps", key="step")
        if not 0 < self.step <= self.high - self.low:
            raise invalid("must be more than 0, and fit between low and high", key="step")
        if self.whole and not isinstance(self.step, int):
            raise invalid("whole numbers have whole steps", key="step")
        return self


class SearchLimit(Section):
    """What a quantity must keep. It is checked as early as it can be."""

    min: Finite | None = Field(default=None, description="At least this.", examples=[97.0])
    max: Finite | None = Field(default=None, description="At most this.", examples=[5.0])

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.min is None and self.max is None:
            raise invalid("a limit needs `min` or `max`")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise invalid(f"must be at least min {self.min:g}, got {self.max:g}", key="max")
        return self


class Halving(Section):
    """Training by successive halving (Li et al. 2020, arXiv:1810.05934): all candidates are trained
    for a part of their epochs, and only the best of them further."""

    factor: Annotated[int, Field(ge=2, le=10)] = Field(
        default=3, description="One in so many goes on; each step trains so many times longer."
    )
    rungs: Annotated[int, Field(ge=1, le=5)] = Field(
        default=3,
        description="How many steps there are, the whole training included. 1: no halving.",
    )


class Stop(Section):
    """When a search ends. Whatever comes first."""

    trials: Count = Field(
        default=50, description="Candidates, those that were dropped included, over all runs."
    )
    minutes: Positive | None = Field(
        default=None,
        description="Minutes of one run; the candidate under way is finished.",
        examples=[120],
    )
    no_progress_trials: Count | None = Field(
        default=None,
        description="After so many candidates in a row none of which is among the best.",
        examples=[20],
    )


class Search(Section):
    """What `edgekit search` looks for. Limits of `budget` for the variant hold as well."""

    parameters: dict[ParameterKey, Parameter] = Field(
        default={},
        description="The keys that are searched, as `--set` takes them.",
        examples=[{"stages.pruned.macs": {"low": 0.2, "high": 0.9}}],
    )
    objectives: tuple[SearchedQuantity, ...] = Field(
        default=(),
        max_length=MOST_OBJECTIVES,
        description=(
            "What is to be best: metrics of the task (`metrics.top1`), `latency_p50_ms` and"
            " `peak_memory_bytes` on the target, `size_bytes`, `macs`. Several give a Pareto front."
        ),
        examples=[["metrics.top1", "latency_p50_ms"]],
    )
    limits: dict[SearchedQuantity, SearchLimit] = Field(
        default={},
        description="What a candidate must keep, by quantity.",
        examples=[{"latency_p50_ms": {"max": 5.0}}],
    )
    variant: Name | None = Field(
        default=None,
        description="The variant that is judged. Default: the last exported one.",
        examples=["int8"],
    )
    backend: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The backend that is judged. Default: the first of `export.backends`.",
        examples=["litert"],
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="Seeds which candidates are tried."
    )
    halving: Halving = Halving()
    stop: Stop = Stop()

    @model_validator(mode="after")
    def _parameters_and_objectives(self) -> Self:
        if bool(self.parameters) != bool(self.objectives):
            missing = "objectives" if self.parameters else "parameters"
            raise invalid(f"a search needs `{missing}`", key=missing)
        if len(set(self.objectives)) < len(self.objectives):
            raise invalid("an objective is listed twice", key="objectives")
        return self
