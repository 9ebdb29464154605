"""What each operator does to channels: layers make and take them, norms and pools keep them, views
move them, sums tie them. An operator that is not known fixes the channels that go into it.

Operators are those that PyTorch runs in the end (ATen), by name without overload and without the
underscore of those that work in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from edgekit.compress.prune.channel_flow import Tracer, across, compact, varying
from edgekit.compress.prune.channel_moves import MOVES, move

Arguments = tuple[Any, ...]

POINTWISE = frozenset(
    {"clone", "_to_copy", "detach", "alias", "lift_fresh", "copy", "native_dropout", "dropout"}
    | {"_softmax", "_log_softmax", "cumsum", "masked_fill", "_prelu_kernel", "where", "hardtanh"}
)
"""Besides those that torch tags so."""
REDUCTIONS = frozenset(
    {"mean", "sum", "amax", "amin", "max", "min", "argmax", "var", "std", "var_mean", "prod"}
    | {"norm", "linalg_vector_norm", "logsumexp", "any", "all"}
)
NEW = ("_like", "new_")
CHANNELWISE = ("pool", "upsample", "reflection_pad", "replication_pad", "circular_pad")
"""Parts of the names of operators that keep axis 1 and mix what lies along the others."""


def follow(tracer: Tracer, func: Any, args: Arguments, kwargs: dict[str, Any], result: Any) -> None:
    """Give the result of an operator its channels."""
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    if all(tracer.at(each) is None and tracer.layer(each) is None for each in tensors):
        return
    name = func.overloadpacket.__name__.rstrip("_")
    try:
        _follow(tracer, func, name, args, kwargs, result)
    except (RuntimeError, IndexError, TypeError, ValueError):
        # A form of the operator that its rule does not know. Nothing is pruned around it.
        for each in tensors:
            tracer.fix(each, name)


def _follow(
    tracer: Tracer, func: Any, name: str, args: Arguments, kwargs: dict[str, Any], result: Any
) -> None:
    rule = RULES.get(name)
    if rule is not None:
        rule(tracer, args, result)
    elif func.is_view or name in MOVES:
        move(tracer, func, name, args, kwargs, result)
    elif name in POINTWISE or _is_pointwise(func, name):
        _meet(tracer, args, kwargs, result)
    elif name in REDUCTIONS:
        _reduce(tracer, name, args, kwargs, result)
    elif any(part in name for part in CHANNELWISE):
        _keep(tracer, args[0], result)
    elif not any(part in name for part in NEW):
        for value in tree_leaves((args, kwargs)):
            tracer.fix(value, name)


def _is_pointwise(func: Any, name: str) -> bool:
    """Operators that work in place are not all tagged: those without the underscore are."""
    packet = getattr(torch.ops.aten, name, None)
    overloads = [func] if packet is None else [getattr(packet, o) for o in packet.overloads()]
    return any(torch.Tag.pointwise in each.tags for each in [func, *overloads])


def _convolution(tracer: Tracer, args: Arguments, result: Tensor) -> None:
    images, weight, bias = args[:3]
    transposed, groups = args[6], args[8]
    view = tracer.layer(weight)
    first, second = (None, None) if view is None else view.axes[:2]
    if view is None or first is None or second is None:
        _unknown_layer(tracer, images, weight)
        return
    makes, takes = (second, first) if transposed else (first, second)
    taken = tracer.along(images, 1)
    if 1 < groups == len(taken):
        made = taken.repeat_interleave(result.shape[1] // groups)
        tracer.bind(view, first, taken if transposed else made, own=True)
    else:
        parts = taken.view(groups, -1)
        _tie_parts(tracer, parts)
        tracer.bind(view, takes, taken if transposed else parts[0], own=False)
        made = tracer.source(view, makes, result.shape[1] // (groups**transposed))
        made = made.repeat(groups) if transposed else made
        tracer.ties.tie_rows(made.view(groups, -1))
    _bind_bias(tracer, bias, made)
    tracer.put(result, made.view(1, -1, *[1] * (result.dim() - 2)))


def _tie_parts(tracer: Tracer, parts: Tensor) -> None:
    """Each group of a convolution loses the same channels: what belongs to a column without a
    number in one of its rows cannot go."""
    tracer.ties.tie_rows(parts)
    if len(parts) > 1:
        for channel in parts[:, (parts == 0).any(0)].flatten().tolist():
            if channel:
                tracer.fixed.setdefault(channel, "convolution")


def _bind_bias(tracer: Tracer, bias: Any, made: Tensor) -> None:
    view = tracer.layer(bias)
    if view is not None and view.axes[-1] is not None:
        tracer.bind(view, view.axes[-1], made, own=True)


def _unknown_layer(tracer: Tracer, values: Tensor, weight: Tensor) -> None:
    """A weight that is no parameter as it stands, or a recurrent layer's."""
    reason = "a recurrent layer" if tracer.is_recurrent(weight) else "a product"
    tracer.fix(values, reason)
    tracer.fix(weight, reason)


def _product(tracer: Tracer, values: Tensor, weight: Tensor, bias: Any, result: Tensor) -> None:
    """A linear layer: rows of values times a weight of shape (…, taken, made)."""
    view = tracer.layer(weight)
    takes, makes = (None, None) if view is None else view.axes[-2:]
    if view is None or takes is None or makes is None or tracer.at(weight) is not None:
        _unknown_layer(tracer, values, weight)
        return
    tracer.bind(view, takes, tracer.along(values, values.dim() - 1), own=False)
    made = tracer.source(view, makes, result.shape[-1])
    _bind_bias(tracer, bias, made)
    tracer.put(result, made)


def _addmm(tracer: Tracer, args: Arguments, result: Tensor) -> None:
    _product(tracer, args[1], args[2], args[0], result)


def _mm(tracer: Tracer, args: Arguments, result: Tensor) -> None:
    _product(tracer, args[0], args[1], None, result)


def _batch_norm(tracer: Tracer, args: Arguments, result: Any) -> None:
    values = args[0]
    tracer.derive(args, result)
    if tracer.at(values) is None:
        return
    channels = tracer.along(values, 1)
    for weight in args[1:5]:
        _bind_bias(tracer, weight, channels)
    tracer.put(tree_leaves(result)[0], tracer.at(values))


def _group_norm(tracer: Tracer, args: Arguments, result: Any) -> None:
    values, weight, bias, groups = args[0], args[1], args[2], args[6]
    if tracer.at(values) is None:
        return
    channels = tracer.along(values, 1)
    _tie_parts(tracer, channels.view(groups, -1))
    for each in (weight, bias):
        _bind_bias(tracer, each, channels)
    tracer.put(result[0], tracer.at(values))


def _layer_norm(tracer: Tracer, args: Arguments, result: Any) -> None:
    values = args[0]
    for weight in args[2:4]:
        _attach(tracer, weight, values, tracer.at(values))
    tracer.put(result[0], tracer.at(values))


def _embedding(tracer: Tracer, args: Arguments, result: Tensor) -> None:
    view = tracer.layer(args[0])
    if view is not None and view.axes[-1] is not None:
        tracer.put(result, tracer.source(view, view.axes[-1], result.shape[-1]))


def _as_strided(tracer: Tracer, args: Arguments, result: Tensor) -> None:
    """A mean over whole maps ends with other strides for the same shape."""
    if result.shape != args[0].shape:
        raise ValueError
    tracer.put(result, tracer.at(args[0]))


RULES: dict[str, Callable[[Tracer, Arguments, Any], None]] = {
    "convolution": _convolution,
    "addmm": _addmm,
    "mm": _mm,
    "bmm": _mm,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    "embedding": _embedding,
    "as_strided": _as_strided,
}


def _keep(tracer: Tracer, values: Tensor, result: Any) -> None:
    if tracer.at(values) is not None:
        channels = tracer.along(values, 1)
        for output in tree_leaves(result):
            tracer.put(output, channels.view(1, -1, *[1] * (output.dim() - 2)))


def _reduce(
    tracer: Tracer, name: str, args: Arguments, kwargs: dict[str, Any], result: Any
) -> None:
    """Sums, means and the like. Over all channels alike, nothing is left of them; over one of
    several axes along which channels differ, those that are summed are tied."""
    channels = tracer.at(args[0])
    if channels is None:
        tracer.derive(args, result)
        return
    position = 2 if "norm" in name else 1
    dims = kwargs.get("dim", args[position] if len(args) > position else None)
    rank = channels.dim()
    axes = {d % rank for d in ([dims] if isinstance(dims, int) else dims or range(rank))}
    differing = set(varying(channels))
    if differing <= axes:
        return
    for axis in axes & differing:
        rows = channels.movedim(axis, 0)
        tracer.ties.tie(rows[:1].expand_as(rows), rows)
    for axis in sorted(axes, reverse=True):
        channels = channels.narrow(axis, 0, 1)
    for output in tree_leaves(result):
        tracer.put(output, channels if output.dim() == rank else channels.squeeze(tuple(axes)))


def _meet(tracer: Tracer, args: Arguments, kwargs: dict[str, Any], result: Any) -> None:
    """Operators on values at the same place of several tensors."""
    output = next((each for each in tree_leaves(result) if isinstance(each, Tensor)), None)
    inputs = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    labelled = [tracer.at(each) for each in inputs]
    known = [compact(channels) for channels in labelled if channels is not None]
    if output is None or not known:
        tracer.derive(args, result)
        return
    met = known[0]
    for channels in known[1:]:
        first, second = torch.broadcast_tensors(met, channels)
        tracer.ties.tie(first, second)
        met = torch.where(first > 0, first, second) if (first == 0).any() else first
        met = compact(met)
    rank = output.dim()
    met = met.reshape(*[1] * (rank - met.dim()), *met.shape)
    for value in inputs:
        _attach(tracer, value, output, met)
    tracer.put(output, met)


def _attach(tracer: Tracer, weight: Any, values: Tensor, channels: Tensor | None) -> None:
    """A weight that is added to values or scales them: its axis along which their channels differ
    has these channels."""
    view = tracer.layer(weight)
    if view is None or channels is None or tracer.at(weight) is not None:
        return
    differing = varying(channels)
    shift = values.dim() - len(view.axes)
    spanned = [axis for axis in differing if axis >= shift and view.axes[axis - shift] is not None]
    if not spanned:
        return
    own = [axis for axis in spanned if _tells_apart(channels, axis)]
    if len(own) != 1:
        tracer.fix(values, "a weight over several axes")
        return
    axis = view.axes[own[0] - shift]
    assert axis is not None
    rows = channels.movedim(own[0], 0)
    tracer.ties.tie(
        *torch.broadcast_tensors(across(rows, 0).view(-1, *[1] * (rows.dim() - 1)), rows)
    )
    tracer.bind(view, axis, across(channels, own[0]), own=True)


def _tells_apart(channels: Tensor, axis: int) -> bool:
    """Whether no channel is at two indices of an axis."""
    rows = compact(channels).movedim(axis, 0)
    rows = rows.reshape(len(rows), -1)
    indices = torch.arange(len(rows))[:, None].expand_as(rows)
    pairs = torch.stack([rows.flatten(), indices.flatten()], 1).unique(dim=0)
    return len(pairs) == len(rows.unique())
