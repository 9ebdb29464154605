"""n:m sparsity: n of every m consecutive weights stay. The masks are masks.py's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from edgekit.compress.method import Method, Result
from edgekit.compress.sections import Iterative, OneShot, PruneBase
from edgekit.yaml_documents.fields import Count, invalid

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext


class PruneNM(PruneBase):
    """Keep the n largest of every m consecutive weights along the input dimension (Mishra et al.
    2021, arXiv:2104.08378)."""

    n: Count = Field(default=2, description="Weights kept in each block.")
    m: Annotated[int, Field(ge=2)] = Field(default=4, description="Block length.")
    schedule: Annotated[OneShot | Iterative, Field(discriminator="kind")] = Field(
        default=OneShot(), description="All at once, or in steps."
    )

    @model_validator(mode="after")
    def _prunes_something(self) -> Self:
        if self.n >= self.m:
            raise invalid(
                f"must be less than m {self.m}, got {self.n}: else nothing is pruned", key="n"
            )
        return self


def _run(context: StageContext, checkpoint: Checkpoint, section: PruneNM) -> Result:
    from edgekit.compress.prune.mask_schedules import prune_in_steps
    from edgekit.compress.prune.masks import n_m_masks

    def masks_at(share: float) -> dict[str, Tensor]:
        """The masks at a share of the way from m:m to n:m."""
        return n_m_masks(
            checkpoint.model,
            n=section.m - round((section.m - section.n) * share),
            m=section.m,
            include=section.include,
            exclude=section.exclude,
        )

    return prune_in_steps(context, checkpoint, section.schedule, masks_at), ()


N_M = Method(section=PruneNM, run=_run)
