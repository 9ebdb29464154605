"""A way to quantize from outside edgekit: weights on a coarse grid, stored as float. The files get
no smaller, but compress better."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edgekit.compress.method import Method, Result
from edgekit.compress.scheme import FLOAT
from edgekit.compress.sections import QuantizeBase

if TYPE_CHECKING:
    from edgekit.compress.checkpoint import Checkpoint
    from edgekit.compress.context import StageContext


class OnAGrid(QuantizeBase):
    """Round each weight to one of so many levels."""

    levels: Annotated[int, Field(ge=2)] = Field(default=64, description="Of the largest weight.")


def run(context: StageContext, checkpoint: Checkpoint, section: OnAGrid) -> Result:
    import torch

    from edgekit.compress.checkpoint import Quantization

    with torch.no_grad():
        for parameter in checkpoint.model.parameters():
            step = parameter.abs().max() / section.levels
            parameter.copy_((parameter / step).round() * step)
    quantization = Quantization(section.method, FLOAT, section.keep_float)
    return dataclasses.replace(checkpoint, quantization=quantization), (f"{section.levels} levels",)


GRID = Method(section=OnAGrid, run=run, scheme=FLOAT)
