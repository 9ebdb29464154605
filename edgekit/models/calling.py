"""Calling a model with named inputs, also over series, and naming what it returns. The one place
that knows that a model is called by position, in the order of its inputs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.models.outputs import named_outputs
from edgekit.states import STATELESS, States, check_states, stepped

Inputs = Mapping[str, Tensor]
"""A batch: tensors of shape (B, …) by input name, in the order of `forward`'s parameters."""


def call(model: Any, inputs: Inputs, states: States = STATELESS) -> dict[str, Tensor]:
    """The outputs of `model(*inputs)` by name, see edgekit.models.outputs. Of a model with states,
    `inputs` are series of shape (B, steps, …), and the outputs of shape (B·steps, …) are those of
    all steps, sample after sample.

    Raises ModelError for an output that is no tensor. What the model itself raises passes
    through."""
    if states:
        return _joined([outputs for _, outputs in _steps(model, inputs, states)])
    outputs = named_outputs(model(*inputs.values()))
    for name, value in outputs.items():
        if not isinstance(value, Tensor):
            raise ModelError(
                f"the model returns a {type(value).__name__} as {name}, which is no tensor",
                hint="wrap it in a factory that returns tensors only",
            )
    return outputs


def calls_over(model: Any, series: Inputs, states: States) -> dict[str, Tensor]:
    """What a model with states takes at all steps of series, its states among it, of shape
    (B·steps, …), sample after sample."""
    return _joined([inputs for inputs, _ in _steps(model, series, states)])


def require_states(states: States, outputs: Mapping[str, Tensor]) -> None:
    """Raises ModelError for a state that these outputs of a batch cannot feed."""
    check_states(
        states,
        {
            name: (str(values.dtype).removeprefix("torch."), tuple(values.shape[1:]))
            for name, values in outputs.items()
        },
    )


def _steps(
    model: Any, series: Inputs, states: States
) -> Iterator[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]:
    zeros = functools.partial(torch.zeros, device=next(iter(series.values())).device)
    return stepped(
        functools.partial(call, model), series, states, states.start(batch_size(series), zeros)
    )


def _joined(steps: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([step[name] for step in steps], 1).flatten(0, 1) for name in steps[0]}


def batch_size(inputs: Inputs) -> int:
    """How many samples a batch holds."""
    return len(next(iter(inputs.values())))


def rows(inputs: Inputs, index: slice | Tensor) -> dict[str, Tensor]:
    """Some samples of a batch."""
    return {name: values[index] for name, values in inputs.items()}


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; each module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
