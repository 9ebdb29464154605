"""Cutting channels out of a model: its tensors get shorter, and its layers say so. Which channels
is not decided here."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from edgekit.captured_graph import tensor_named
from edgekit.compress.prune.channel_flow import Flow


def cut(model: nn.Module, flow: Flow, removed: Collection[int]) -> Flow:
    """Remove the channels with these heads from a model, in place. Returns what is left of its
    flow."""
    names = _names(model)
    changed: dict[str, None] = {}
    gone = flow.ties.tied_to(removed)
    for (name, axis), entry in flow.axes.items():
        left = (~gone[entry.channels]).nonzero().flatten()
        if len(left) < len(entry.channels):
            tensor = tensor_named(model, name)
            _replace(model, names[id(tensor)], tensor.detach().index_select(axis, left))
            names[id(tensor_named(model, name))] = names[id(tensor)]
            changed |= dict.fromkeys(each.rpartition(".")[0] for each in names[id(tensor)])
    for owner in changed:
        _describe(model.get_submodule(owner))
    return flow.without(removed)


def _names(model: nn.Module) -> dict[int, list[str]]:
    """All names of each tensor: layers may share one."""
    names: dict[int, list[str]] = {}
    for name, tensor in [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]:
        names.setdefault(id(tensor), []).append(name)
    return names


def _replace(model: nn.Module, names: list[str], shorter: Tensor) -> None:
    before = tensor_named(model, names[0])
    if isinstance(before, nn.Parameter):
        shorter = nn.Parameter(shorter, requires_grad=before.requires_grad)
    for name in names:
        owner, _, key = name.rpartition(".")
        layer = model.get_submodule(owner)
        tensors = layer._parameters if key in layer._parameters else layer._buffers
        tensors[key] = shorter  # type: ignore[assignment]


def _describe(layer: nn.Module) -> None:
    """What a layer says of itself, where its forward or its repr uses it."""
    if isinstance(layer, nn.modules.conv._ConvNd):
        _describe_convolution(layer)
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.modules.batchnorm._NormBase):
        for tensor in (layer.weight, layer.running_mean):
            layer.num_features = layer.num_features if tensor is None else len(tensor)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = len(layer.weight)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = len(layer.weight)
    elif isinstance(layer, nn.Embedding):
        layer.embedding_dim = layer.weight.shape[1]
    elif isinstance(getattr(layer, "normalized_shape", None), tuple):
        weight = layer.get_parameter("weight")
        setattr(layer, "normalized_shape", tuple(weight.shape))  # noqa: B010 - a class of any kind


def _describe_convolution(layer: nn.modules.conv._ConvNd) -> None:
    depthwise = is_depthwise(layer)
    first, second = layer.weight.shape[:2]
    if depthwise:
        layer.groups = first if layer.transposed else first * layer.groups // layer.out_channels
    taken, made = (first, second) if layer.transposed else (second, first)
    layer.in_channels = taken if layer.transposed else taken * layer.groups
    layer.out_channels = made * layer.groups if layer.transposed else made


def is_depthwise(layer: nn.Module) -> bool:
    """Whether a convolution has a part of its own for each channel that it takes."""
    return isinstance(layer, nn.modules.conv._ConvNd) and 1 < layer.groups == layer.in_channels
