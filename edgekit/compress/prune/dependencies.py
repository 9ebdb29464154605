"""Which layers lose channels together. Asks torch-pruning's DepGraph (Fang et al. 2023,
arXiv:2301.12900), and owns reading its answers: who makes the channels of a group, which groups may
be pruned, how many equal parts a group must lose alike."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from edgekit.compress.counting import evaluating
from edgekit.compress.patterns import matches
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, call

CHANNEL_MAKERS = (nn.modules.conv._ConvNd, nn.Linear)


@contextlib.contextmanager
def dependencies(model: nn.Module, example: Inputs) -> Iterator[tp.DependencyGraph]:
    """The dependency graph of a model. Raises ModelError when it cannot be traced."""
    # DepGraph follows autograd's graph from the outputs back to the weights. A frozen parameter has
    # no node there, so gradients are on for all of them as long as the graph is in use.
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    for name in frozen:
        model.get_parameter(name).requires_grad_(True)
    try:
        with evaluating(model), torch.enable_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
            yield _traced(model, example)
    finally:
        for name in frozen:
            model.get_parameter(name).requires_grad_(False)


def _traced(model: nn.Module, example: Inputs) -> tp.DependencyGraph:
    try:
        return tp.DependencyGraph().build_dependency(
            model, dict(example), forward_fn=_differentiable_outputs
        )
    except Exception as error:  # whatever the tracer stumbles over
        raise not_followed(f"{type(error).__name__}: {error}".splitlines()[0]) from None


def _differentiable_outputs(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """Class numbers and masks have no gradient to follow."""
    return [output for output in call(model, inputs).values() if output.requires_grad]


def not_followed(reason: str) -> ModelError:
    """The error for a model whose channels DepGraph gets wrong or not at all."""
    hint = "exclude the layers around reshapes and attention, or use method: unstructured"
    return ModelError(f"the model's channels cannot be followed: {reason}", hint=hint)


def is_prunable(
    graph: tp.DependencyGraph, group: Any, include: Sequence[str], exclude: Sequence[str]
) -> bool:
    """Whether a group may lose channels: none of them is one of the model's outputs, `include`
    names every layer that makes them, and `exclude` names no layer in the group."""
    # A node without successors in the graph is an output of the model.
    makes_an_output = any(
        not dep.target.outputs for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)
    )
    if makes_an_output:
        return False
    layers = members(graph, group)
    makers = [name for name, layer in layers.items() if makes_channels(layer)]
    return all(matches(name, include) for name in makers) and not any(
        matches(name, exclude) for name in layers
    )


def members(graph: tp.DependencyGraph, group: Any) -> dict[str, nn.Module]:
    """The layers whose output channels a group removes, by name."""
    # A group lists the layers that lose inputs too: these follow, and are not named. Operators
    # such as a reshape are no modules, and the model itself may stand there without a name.
    names = graph._module2name
    layers = [dep.target.module for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)]
    return {
        names[layer]: layer for layer in layers if isinstance(layer, nn.Module) and names.get(layer)
    }


def equal_parts(graph: tp.DependencyGraph, group: Any) -> int:
    """Into how many equal parts grouped convolutions and norms in the group divide the channels;
    each part must lose as many."""
    # Two layers of 4 and 6 parts only agree on channels that come in 12 equal parts: the least
    # common multiple. A depthwise convolution has a part for each channel and would forbid all
    # pruning; it has no channels of its own and loses those of the layer before it.
    parts = 1
    for dep, _ in group:
        layer = dep.target.module
        if isinstance(layer, nn.Module) and not is_depthwise(layer):
            pruner = graph.get_pruner_of_module(layer)
            if graph.is_out_channel_pruning_fn(dep.handler):
                parts = math.lcm(parts, int(pruner.get_out_channel_groups(layer)))
            else:
                parts = math.lcm(parts, int(pruner.get_in_channel_groups(layer)))
    return parts


def makes_channels(layer: nn.Module) -> bool:
    """Whether the channels of a group are this layer's own; norms and depthwise convolutions have
    those of the layer before them."""
    return isinstance(layer, CHANNEL_MAKERS) and not is_depthwise(layer)


def is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == layer.out_channels > 1
