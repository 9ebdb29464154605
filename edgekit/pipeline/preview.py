"""What a recipe comes to before anything is trained: its network stage by stage, with parameters,
multiply-accumulates, and bounds of size and memory.

The network is built with random weights and without data. Which channels structured pruning removes
does not matter to how many, so that counts are exact where channels are ranked within layers, and
estimates where they are ranked over the whole model. Owns the building and the counting; what is
wrong with a recipe is linting.py. Imports torch."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.compress.layers import CONVOLUTIONS, kept_float, layers_with_weights
from edgekit.compress.prune import channel_removal
from edgekit.errors import EdgekitError, ModelError
from edgekit.models.create import create_model
from edgekit.pipeline.estimates import StageEstimate
from edgekit.recipe.lineage import parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import PruneStructured, QuantizeBase, Recipe, Stage

BYTES = {"fp16": 2, "weight_only": 1, "dynamic": 1, "ptq": 1, "qat": 1}


@dataclass(frozen=True)
class Preview:
    """`models` are the networks by stage name, float and with random weights, in eval mode;
    `example` is a batch of two samples."""

    stages: tuple[StageEstimate, ...]
    models: dict[str, nn.Module]
    example: Tensor


def preview(loaded: LoadedRecipe) -> Preview:
    """Build the network of each stage. Raises ModelError when the model cannot be built or does not
    take the input."""
    recipe = loaded.recipe
    generator = torch.Generator().manual_seed(recipe.seed)
    example = torch.rand((2, *recipe.input.shape), generator=generator)
    model = create_model(
        recipe.model.name, recipe.model.args, seed=recipe.seed, base=loaded.path.parent
    ).eval()
    _require_forward(model, example, recipe)
    estimates: list[StageEstimate] = []
    models: dict[str, nn.Module] = {}
    for index, stage in enumerate(recipe.stages):
        parent = parent_of(recipe, index)
        before = model if parent is None else models[stage_name(recipe, parent)]
        name, after, problem = stage_name(recipe, index), before, None
        try:
            after = _after(stage, before, example)
        except EdgekitError as error:
            problem = error
        models[name] = after
        estimates.append(
            dataclasses.replace(_estimate(name, after, example, stage), problem=problem)
        )
    return Preview(tuple(estimates), models, example)


def _require_forward(model: nn.Module, example: Tensor, recipe: Recipe) -> None:
    try:
        with torch.no_grad():
            model(example)
    except Exception as error:  # any library error of the user's own forward
        message = (
            f"model {recipe.model.name} does not run on input {recipe.input.shape}:"
            f" {str(error).splitlines()[0]}"
        )
        raise ModelError(message, hint="check input.shape and model.args") from None


def _after(stage: Stage, before: nn.Module, example: Tensor) -> nn.Module:
    """The network after a stage: another one only where channels go."""
    if not isinstance(stage, PruneStructured):
        return before
    model = copy.deepcopy(before)
    settings: dict[str, Any] = {
        key: getattr(stage, key)
        for key in ("ratio", "macs", "scope", "max_layer_ratio", "include", "exclude", "round_to")
    }
    channel_removal.prune_structured(
        model, example, importance="magnitude", per_layer=stage.per_layer, **settings
    )
    return model


def _estimate(name: str, model: nn.Module, example: Tensor, stage: Stage) -> StageEstimate:
    macs, parameters = channel_removal.count_macs_params(model, example[:1])
    method = stage.method if isinstance(stage, QuantizeBase) else None
    kept = (
        kept_float(model, stage.keep_float)
        if isinstance(stage, QuantizeBase) and _known(model, stage.keep_float)
        else frozenset()
    )
    smaller = sum(count for layer, count in _weights(model, method) if layer not in kept)
    weight_bytes = 4 * (_folded(model) - smaller) + BYTES.get(str(method), 4) * smaller
    return StageEstimate(
        name,
        parameters,
        macs,
        weight_bytes,
        _activations(model, example[:1]) // (4 if method in ("ptq", "qat") else 1),
    )


def _known(model: nn.Module, patterns: tuple[str, ...]) -> bool:
    try:
        kept_float(model, patterns)
    except ModelError:
        return False
    return True


def _weights(model: nn.Module, method: str | None) -> Iterator[tuple[str, int]]:
    """Layers whose weights a method makes smaller, with how many there are."""
    if method is None:
        return
    for name, layer in layers_with_weights(model).items():
        if method != "dynamic" or not isinstance(layer, CONVOLUTIONS):
            yield (
                name,
                sum(
                    parameter.numel()
                    for key, parameter in layer.named_parameters()
                    if "weight" in key
                ),
            )


def _folded(model: nn.Module) -> int:
    """Parameters that are left when batch norm is folded: of it nothing is left but a bias that
    most convolutions had not."""
    norms = [
        module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    return sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for norm in norms for p in norm.parameters()
    )


def _activations(model: nn.Module, example: Tensor) -> int:
    """The largest sum of a layer's input and output, in bytes."""
    largest = 0

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        held = [value for value in (*inputs, output) if isinstance(value, Tensor)]
        largest = max(largest, sum(value.numel() * value.element_size() for value in held))

    hooks = [
        module.register_forward_hook(look)
        for module in model.modules()
        if not list(module.children())
    ]
    try:
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return largest
