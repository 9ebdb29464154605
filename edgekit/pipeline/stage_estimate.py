"""What one stage of a recipe comes to, as figures. The value alone: preview.py counts them,
estimates.py hands them out."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import EdgekitError


@dataclass(frozen=True)
class StageEstimate:
    """A stage's result. `weight_bytes` is the least its file holds (weights without scales and
    graph); `activation_bytes` the least that a layer's input and output take together at its
    largest place. `problem` says why a stage cannot be done; what follows it is of the stage
    before."""

    name: str
    parameters: int
    macs: int
    weight_bytes: int
    activation_bytes: int
    problem: EdgekitError | None = None
