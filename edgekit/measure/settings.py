"""How artifacts are measured: the settings of a session, declared once.

A recipe's `bench` section, a measurement in the results and every function that measures hold
these values. What a target changes (its clocks, its cores) is `control` in the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError

from edgekit.errors import UsageError
from edgekit.yaml_documents.fields import Count, Positive, Section

LONGEST_S = 3600.0
Seconds = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]


class Settings(Section):
    """How artifacts are measured on the target. Fewer than 10 runs is a `quick` measurement and
    never gates a release. The upper bounds are those of the runners."""

    runs: Count = Field(
        default=10,
        description="Fresh runner processes per artifact, interleaved over the artifacts.",
    )
    warmup_min_seconds: Seconds = Field(
        default=0.2,
        description=(
            "Warm up at least this long, and on until the times are steady, at most ten times as"
            " long."
        ),
    )
    min_iterations: Annotated[Count, Field(le=1 << 20)] = Field(
        default=64, description="Counted inferences per process, at least."
    )
    min_seconds: Seconds = Field(default=0.5, description="Counted time per process, at least.")
    max_seconds: Seconds = Field(
        default=60.0, description="Stop counting after this long, even below `min_iterations`."
    )
    threads: Annotated[Count, Field(le=256)] = Field(
        default=1, description="CPU threads of the runtime."
    )
    deadline_ms: Positive | None = Field(
        default=None,
        description=(
            "An inference that takes longer misses it; tables say how many do. Default: that of the"
            " gate, else the shortest of the budget."
        ),
        examples=[33.3],
    )


def settings_with(settings: Settings, changes: Mapping[str, float]) -> Settings:
    """The settings with some values replaced. Raises UsageError: no such setting, or a value out of
    range."""
    try:
        return Settings.model_validate(settings.model_dump() | dict(changes))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"bench: {first['loc'][0]}: {first['msg']}",
            hint="see `edgekit recipe schema`, key bench",
        ) from None
