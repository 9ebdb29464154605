"""Operators that move values: views, slices, concatenations. The numbers of the channels are moved
in the same way, and where channels are cut into equal parts is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from edgekit.compress.prune.channel_flow import Tracer, across, varying

Arguments = tuple[Any, ...]

MOVES = frozenset(
    {"_unsafe_view", "_reshape_alias", "_reshape_copy", "cat", "stack", "flip", "roll", "repeat"}
    | {"constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "native_channel_shuffle"}
    | {"channel_shuffle", "index", "index_select", "unsafe_split", "unsafe_chunk"}
    | {"split_with_sizes_copy", "unfold", "repeat_interleave"}
)
"""Besides views."""
VIEWS = frozenset({"view", "_unsafe_view", "_reshape_alias"})
CUTS = {"split": 2, "split_with_sizes": 2, "unsafe_split": 2, "slice": 1}
"""With the position of the axis among their arguments."""


def move(
    tracer: Tracer, func: Any, name: str, args: Arguments, kwargs: dict[str, Any], result: Any
) -> None:
    """Operators that move values: the channels are moved in the same way."""
    tensors = args[0] if isinstance(args[0], list | tuple) else [args[0]]
    if all(tracer.at(each) is None for each in tensors):
        tracer.derive(args, result)
        return
    for weight in tensors if len(tensors) > 1 else ():
        _begin(tracer, weight, tensors, args)
    moved = _moved(tracer, func, name, args, kwargs)
    for output, channels in zip(tree_leaves(result), tree_leaves(moved), strict=True):
        tracer.put(output, channels)
    if isinstance(args[0], Tensor):  # else they are joined, even where there is only one
        _cut(tracer, name, args, tree_leaves(moved))


def _moved(tracer: Tracer, func: Any, name: str, args: Arguments, kwargs: dict[str, Any]) -> Any:
    def channels_of(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        channels = tracer.at(value)
        if channels is not None:
            return channels
        # Indices stay what they are.
        if not value.is_floating_point():
            return value
        return torch.zeros((), dtype=torch.int64).expand(value.shape)

    arguments = tree_map(channels_of, args)
    if name in VIEWS:
        return arguments[0].reshape(args[1])
    if name == "constant_pad_nd":
        return func(arguments[0], args[1])
    if name == "cat":
        return _joined(arguments[0], *args[1:], **kwargs)
    try:
        return func(*arguments, **kwargs)
    except (RuntimeError, NotImplementedError):  # some have no kernel for integers
        doubled = tree_map(
            lambda each: each.double() if isinstance(each, Tensor) else each, arguments
        )
        return tree_map(lambda each: each.long(), func(*doubled, **kwargs))


def _joined(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    """As torch.cat, without repeating what all parts only repeat."""
    dim %= parts[0].dim()
    shape = list(parts[0].shape)
    for axis in range(len(shape)):
        if axis != dim and all(part.stride(axis) == 0 for part in parts):
            parts = [part.narrow(axis, 0, 1) for part in parts]
    shape[dim] = sum(part.shape[dim] for part in parts)
    return torch.cat(list(parts), dim).expand(shape)


def _begin(tracer: Tracer, weight: Tensor, tensors: Sequence[Tensor], args: Arguments) -> None:
    """A parameter among tensors that are joined, such as a class token: its channels begin here."""
    view = tracer.layer(weight)
    if view is None or tracer.at(weight) is not None:
        return
    joined = (args[1] if len(args) > 1 else 0) % weight.dim()
    known = [channels for each in tensors if (channels := tracer.at(each)) is not None]
    differing = {axis for channels in known for axis in varying(channels)}
    for axis in differing - {joined}:
        own = view.axes[axis] if axis < len(view.axes) else None
        if own is not None:
            channels = tracer.source(view, own, weight.shape[axis])
            shape = [1] * weight.dim()
            shape[axis] = -1
            tracer.put(weight, channels.view(shape))


def _cut(tracer: Tracer, name: str, args: Arguments, moved: Sequence[Tensor]) -> None:
    """Remember where channels along one axis are cut into equal parts: by a view, a split, or a
    slice that takes one of the parts."""
    before = tracer.at(args[0])
    assert before is not None
    if name in VIEWS:
        differing, after = varying(before), varying(moved[0])
        if len(differing) == 1 and len(after) > 1:
            _remember(tracer, across(before, differing[0]), moved[0].shape[after[0]])
    elif name in CUTS:
        axis = args[CUTS[name]] if len(args) > CUTS[name] else 0
        whole = across(before, axis % before.dim())
        lengths = {part.shape[axis] for part in moved}
        if axis % before.dim() in varying(before) and len(lengths) == 1:
            _remember(tracer, whole, len(whole) // lengths.pop())


def _remember(tracer: Tracer, whole: Tensor, parts: int) -> None:
    if parts > 1 and len(whole) % parts == 0:
        tracer.splits.append(whole.view(parts, -1))
