"""Pruning of single weights. Owns masks: choosing them (by magnitude, by chance, n of every m), and
holding them.

A mask is a tensor of 0 and 1 (uint8) of its parameter's shape, kept under the parameter's name
beside the model. The model itself never carries parametrisations or hooks, so that it exports and
is saved as any other, and the same masks hold on the graph that torch.export makes of it, where
parameters keep their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from edgekit.compress.patterns import select
from edgekit.errors import ModelError

Masks = dict[str, Tensor]
Criterion = Literal["l1", "random"]
Scope = Literal["global", "layer"]


def matching_layers(
    model: nn.Module, include: Iterable[str] = ("*",), exclude: Iterable[str] = ()
) -> dict[str, nn.Module]:
    """The layers with weights (convolutions, linear and recurrent layers, embeddings) that the
    patterns select, by dotted name.

    Normalisation layers are no such layers: their weights are scales. Raises ModelError for a
    pattern that matches none, or when none is left."""
    layers = {name: layer for name, layer in model.named_modules() if _has_weights(layer)}
    chosen = select(list(layers), include, exclude, purpose="layers to prune")
    if not chosen:
        raise ModelError(
            "no layer is left to prune",
            hint=f"layers with weights: {', '.join(list(layers)[:5]) or '(none)'}",
        )
    return {name: layers[name] for name in chosen}


def magnitude_masks(
    model: nn.Module,
    *,
    sparsity: float,
    criterion: Criterion = "l1",
    scope: Scope = "layer",
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    parameters: Sequence[str] = ("weight",),
    seed: int = 0,
) -> Masks:
    """Masks that zero a fraction `sparsity` of each parameter (scope `layer`) or of all of them
    together (scope `global`).

    Exactly round(sparsity · size) weights go, those of the smallest magnitude or random ones. For a
    higher sparsity and the same seed, random masks contain those of the lower one. The model is not
    changed. For a recurrent layer, `weight` means all its weight matrices.

    Raises ModelError: a pattern that matches no layer; a layer that lacks one of `parameters`,
    naming both."""
    targets = _targets(matching_layers(model, include, exclude), parameters)
    method = _method(criterion, sparsity)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        if scope == "layer":
            return {name: _mask(method, parameter) for name, parameter in targets.items()}
        mask = _mask(method, torch.cat([parameter.flatten() for parameter in targets.values()]))
    parts = mask.split([parameter.numel() for parameter in targets.values()])
    return {
        name: part.reshape(targets[name].shape).clone()
        for name, part in zip(targets, parts, strict=True)
    }


def n_m_masks(
    model: nn.Module,
    *,
    n: int,
    m: int,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
) -> Masks:
    """Masks that keep the `n` largest of every `m` weights that are consecutive along the input
    dimension.

    The input dimension is the one the matrix product sums over: a linear layer's inputs, and a
    convolution's input channels at each kernel position (Mishra et al. 2021, arXiv:2104.08378,
    section 4.1). The model is not changed.

    Raises ModelError: n > m; layers whose number of inputs is not a multiple of m, naming them all.
    """
    if not 1 <= n <= m:
        raise ModelError(
            f"{n}:{m} sparsity keeps more than there is, or nothing", hint="n must be from 1 to m"
        )
    layers = matching_layers(model, include, exclude)
    targets = _targets(layers, ("weight",))
    owners = {
        f"{layer}.{key}": module
        for layer, module in layers.items()
        for key, _ in module.named_parameters(recurse=False)
    }
    dims = {name: 0 if getattr(owners.get(name), "transposed", False) else 1 for name in targets}
    unfit = {
        name: weight.shape[dims[name]]
        for name, weight in targets.items()
        if weight.shape[dims[name]] % m
    }
    if unfit:
        names = ", ".join(
            f"{name.rpartition('.')[0] or name} ({inputs} inputs)" for name, inputs in unfit.items()
        )
        raise ModelError(
            f"{n}:{m} sparsity needs inputs in multiples of {m}, not so in {names}",
            hint="name these layers under `exclude`",
        )
    return {name: _n_m_mask(weight.detach(), n, m, dims[name]) for name, weight in targets.items()}


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the masked weights of a model, or of a graph made from it, to zero, in place.

    Raises ModelError when the model has no parameter of a mask's name, or one of another shape.
    """
    with torch.no_grad():
        for name, mask in masks.items():
            parameter = _parameter(model, name)
            if parameter is None or parameter.shape != mask.shape:
                reason = (
                    "is missing"
                    if parameter is None
                    else f"has shape {tuple(parameter.shape)}, not {tuple(mask.shape)}"
                )
                raise ModelError(
                    f"the mask of {name} does not fit: the parameter {reason}",
                    hint="the masks belong to another model",
                )
            parameter.masked_fill_(mask.to(parameter.device) == 0, 0)


def hold(model: nn.Module, masks: Mapping[str, Tensor]) -> Callable[[int], None] | None:
    """A hook that keeps pruned weights at zero after each optimiser step; None without masks."""
    if not masks:
        return None
    return lambda step: apply_masks(model, masks)


def with_masks(before: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Masks:
    """Masks of an earlier stage and new ones together: what either of them zeroes is zero."""
    merged = {name: mask * before[name] if name in before else mask for name, mask in masks.items()}
    return {**before, **merged}


def zero_fraction(model: nn.Module) -> float:
    """The fraction of zeros among the weights: all parameters of two dimensions and more, so
    neither biases nor scales."""
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    total = sum(weight.numel() for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / total if total else 0.0


def _has_weights(layer: nn.Module) -> bool:
    weight = dict(layer.named_parameters(recurse=False)).get("weight")
    return isinstance(layer, nn.RNNBase) or (weight is not None and weight.dim() > 1)


def _targets(layers: Mapping[str, nn.Module], parameters: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters to prune by their names in the model; one that several layers share comes
    once."""
    targets: dict[str, nn.Parameter] = {}
    for layer_name, layer in layers.items():
        own = dict(layer.named_parameters(recurse=False))
        for parameter_name in parameters:
            keys = [
                key
                for key in own
                if key == parameter_name
                or (isinstance(layer, nn.RNNBase) and key.startswith(f"{parameter_name}_"))
            ]
            if not keys:
                place = (
                    f"layer {layer_name!r} ({type(layer).__name__})"
                    if layer_name
                    else f"the model ({type(layer).__name__})"
                )
                raise ModelError(
                    f"{place} has no parameter {parameter_name!r}",
                    hint=f"it has {', '.join(own)}; or name the layer under `exclude`",
                )
            targets.update({f"{layer_name}.{key}".lstrip("."): own[key] for key in keys})
    first_name = {id(parameter): name for name, parameter in reversed(targets.items())}
    return {
        name: parameter for name, parameter in targets.items() if first_name[id(parameter)] == name
    }


def _method(criterion: Criterion, sparsity: float) -> prune.BasePruningMethod:
    if not 0 <= sparsity < 1:
        raise ModelError(
            f"sparsity {sparsity} is not a fraction",
            hint="give a number from 0 up to, but not including, 1",
        )
    methods = {"l1": prune.L1Unstructured, "random": prune.RandomUnstructured}
    if criterion not in methods:
        raise ModelError(
            f"there is no pruning criterion {criterion!r}",
            hint=f"choose one of {', '.join(methods)}",
        )
    return methods[criterion](amount=float(sparsity))


def _mask(method: prune.BasePruningMethod, weight: Tensor) -> Tensor:
    weight = (
        weight.detach().contiguous()
    )  # compute_mask flattens it, and training holds images' weights channels last
    return method.compute_mask(weight, default_mask=torch.ones_like(weight)).to(torch.uint8)


def _n_m_mask(weight: Tensor, n: int, m: int, dim: int) -> Tensor:
    blocks = weight.abs().movedim(dim, -1).unflatten(-1, (-1, m))
    mask = torch.zeros_like(blocks, dtype=torch.uint8).scatter_(
        -1, blocks.topk(n, dim=-1).indices, 1
    )
    return mask.flatten(-2).movedim(-1, dim).contiguous()


def _parameter(model: nn.Module, name: str) -> nn.Parameter | None:
    try:
        return model.get_parameter(name)
    except AttributeError:
        return None
