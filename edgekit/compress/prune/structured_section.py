"""What a recipe may write under structured pruning. Owns the keys and their ranges; what they do is
structured.py's."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgekit.compress.sections import Fraction, Iterative, OneShot, Pattern, PruneBase
from edgekit.yaml_documents.fields import Count, invalid


class PruneStructured(PruneBase):
    """Remove whole channels, with everything that depends on them: the model gets smaller and
    faster. Layers whose channels cannot be followed stay whole, and are named.

    After DepGraph, Fang et al. 2023, arXiv:2301.12900.
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
