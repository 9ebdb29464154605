"""What a recipe comes to before anything is trained: its network stage by stage, with parameters,
multiply-accumulates, and bounds of size and memory.

The network is built with random weights and without data. Which channels structured pruning removes
does not matter to how many, so that counts are exact where channels are ranked within layers, and
estimates where they are ranked over the whole model. Owns the building and the counting; what is
wrong with a recipe is linting.py. Imports torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.compress.counting import count_macs_params
from edgekit.compress.layers import kept_float, layers_with_weights
from edgekit.compress.sections import QuantizeBase, StageBase
from edgekit.errors import EdgekitError, ModelError
from edgekit.models.calling import Inputs, require_states, rows
from edgekit.models.create import create_model
from edgekit.models.usable import usable_outputs
from edgekit.pipeline.data import states_of
from edgekit.pipeline.stage_estimate import StageEstimate
from edgekit.recipe.lineage import parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import Recipe

FLOAT_BYTES = 4
BYTES = {"float32": 4, "float16": 2, "int8": 1, "int4": 0.5}
"""Of one weight, by the dtype of a scheme. Of any other dtype nothing is promised."""


@dataclass(frozen=True)
class Preview:
    """`models` are the networks by stage name, float and with random weights, in eval mode;
    `example` is a batch of two samples by input name."""

    stages: tuple[StageEstimate, ...]
    models: dict[str, nn.Module]
    example: Inputs


def preview(loaded: LoadedRecipe) -> Preview:
    """Build the network of each stage. Raises ModelError when the model cannot be built or does not
    take the input."""
    recipe = loaded.recipe
    example = _example(recipe)
    model = create_model(
        recipe.model.name, recipe.model.args, seed=recipe.seed, base=loaded.path.parent
    ).eval()
    outputs = usable_outputs(model, example, recipe.model.name)
    require_states(states_of(recipe), outputs)
    estimates: list[StageEstimate] = []
    models: dict[str, nn.Module] = {}
    for index, stage in enumerate(recipe.stages):
        parent = parent_of(recipe, index)
        before = model if parent is None else models[stage_name(recipe, parent)]
        name, after, problem = stage_name(recipe, index), before, None
        try:
            after = stage.entry.preview(before, example, stage)
        except EdgekitError as error:
            problem = error
        models[name] = after
        estimates.append(
            dataclasses.replace(_estimate(name, after, example, stage), problem=problem)
        )
    return Preview(tuple(estimates), models, example)


def _example(recipe: Recipe) -> Inputs:
    """Random numbers, and zeros for integers: of those the model may not take every one."""
    generator = torch.Generator().manual_seed(recipe.seed)
    return {
        name: torch.rand((2, *section.shape), generator=generator)
        if section.dtype == "float32"
        else torch.zeros((2, *section.shape), dtype=getattr(torch, section.dtype))
        for name, section in recipe.inputs.items()
    }


def _estimate(name: str, model: nn.Module, example: Inputs, stage: StageBase) -> StageEstimate:
    first = rows(example, slice(1))
    macs, parameters = count_macs_params(model, first)
    scheme = stage.entry.scheme
    smaller = _smaller_weights(model, stage)
    weight_bytes = (
        FLOAT_BYTES * (_folded(model) - smaller) + BYTES.get(scheme.weights, FLOAT_BYTES) * smaller
    )
    activation_bytes = _activations(model, first)
    if scheme.activations == "static":
        activation_bytes //= FLOAT_BYTES
    return StageEstimate(name, parameters, macs, int(weight_bytes), activation_bytes)


def _smaller_weights(model: nn.Module, stage: StageBase) -> int:
    """How many weights the stage's method stores in fewer bytes."""
    if not isinstance(stage, QuantizeBase):
        return 0
    float_layers = (
        kept_float(model, stage.keep_float) if _known(model, stage.keep_float) else frozenset()
    )
    layers = layers_with_weights(model)
    return sum(
        parameter.numel()
        for name in stage.entry.quantizes(model)
        if name not in float_layers
        for key, parameter in layers[name].named_parameters()
        if "weight" in key
    )


def _known(model: nn.Module, patterns: tuple[str, ...]) -> bool:
    try:
        kept_float(model, patterns)
    except ModelError:
        return False
    return True


def _folded(model: nn.Module) -> int:
    """Parameters that are left when batch norm is folded: of it nothing is left but a bias that
    most convolutions had not."""
    norms = [
        module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    return sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for norm in norms for p in norm.parameters()
    )


def _activations(model: nn.Module, example: Inputs) -> int:
    """The largest sum of a layer's input and output, in bytes."""
    largest = 0

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        tensors = [value for value in (*inputs, output) if isinstance(value, Tensor)]
        largest = max(largest, sum(value.numel() * value.element_size() for value in tensors))

    hooks = [
        module.register_forward_hook(look)
        for module in model.modules()
        if not list(module.children())
    ]
    try:
        with torch.no_grad():
            model(*example.values())
    finally:
        for hook in hooks:
            hook.remove()
    return largest
