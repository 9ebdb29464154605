"""Calling a model with named inputs, and naming what it returns. The one place that knows that a
model is called by position, in the order of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from edgekit.errors import ModelError
from edgekit.models.outputs import named_outputs

Inputs = Mapping[str, Tensor]
"""A batch: tensors of shape (B, …) by input name, in the order of `forward`'s parameters."""


def call(model: Any, inputs: Inputs) -> dict[str, Tensor]:
    """The outputs of `model(*inputs)` by name, see edgekit.models.outputs.

    Raises ModelError for an output that is no tensor. What the model itself raises passes
    through."""
    outputs = named_outputs(model(*inputs.values()))
    for name, value in outputs.items():
        if not isinstance(value, Tensor):
            raise ModelError(
                f"the model returns a {type(value).__name__} as {name}, which is no tensor",
                hint="wrap it in a factory that returns tensors only",
            )
    return outputs


def batch_size(inputs: Inputs) -> int:
    """How many samples a batch holds."""
    return len(next(iter(inputs.values())))


def rows(inputs: Inputs, index: slice | Tensor) -> dict[str, Tensor]:
    """Some samples of a batch."""
    return {name: values[index] for name, values in inputs.items()}
