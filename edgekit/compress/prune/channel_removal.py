"""Removal of whole channels, with everything that depends on them. Owns the groups of layers that
lose channels together, and the removal.

Which layers depend on each other is torch-pruning's DepGraph (Fang et al. 2023, arXiv:2301.12900);
how many channels go is channels.py. torch-pruning's own pruner is not used: it rounds channel
counts down only, and lets a layer fall below its limit in a single step."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edgekit.compress.patterns import matches, require_matches
from edgekit.compress.prune.channels import Group, History, choose
from edgekit.errors import EdgekitError, ModelError, UsageError

Importance = Literal["magnitude", "taylor", "lamp", "bn_scale", "random"]
LossBatches = Callable[[nn.Module], Iterable[Tensor]]

IMPORTANCES = {
    "magnitude": tp.importance.GroupMagnitudeImportance,
    "taylor": tp.importance.GroupTaylorImportance,
    "lamp": tp.importance.LAMPImportance,
    "bn_scale": tp.importance.BNScaleImportance,
    "random": tp.importance.RandomImportance,
}


def prune_structured(
    model: nn.Module,
    example: Tensor,
    *,
    importance: Importance = "magnitude",
    ratio: float | None = None,
    macs: float | None = None,
    scope: Literal["global", "layer"] = "layer",
    max_layer_ratio: float = 0.9,
    per_layer: Mapping[str, float] | None = None,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    round_to: int = 8,
    loss_batches: LossBatches | None = None,
    earlier: Sequence[Sequence[Any]] | None = None,
) -> History:
    """Remove channels from a model, in place, and return the history of what was removed.

    `ratio` is the fraction of channels to remove, of each layer (scope `layer`) or of all layers
    together (scope `global`). `macs` instead is the fraction of the multiply-accumulates to keep,
    met with as few removals as the rounding allows and never exceeded. `per_layer` gives layers
    their own ratio. Channel counts become the nearest multiple of `round_to`; no layer loses more
    than `max_layer_ratio`. Layers whose channels are the model's output are never pruned. With
    importance `bn_scale`, layers without batch norm stay whole. `random` draws from torch's global
    generator.

    `example` is a batch of shape (B, *sample). `loss_batches(model)` yields the losses that
    importance `taylor` differentiates. `earlier` is the history of the earlier steps of the same
    schedule, [] in the first one: ratios then count from the channels before all of them, and a
    step in which rounding leaves nothing to do is no error.

    Raises ModelError: a pattern that matches nothing, nothing to prune, a target out of reach,
    recurrent layers, channels that cannot be followed. The model is then unchanged. Raises
    UsageError unless exactly one of ratio and macs is given."""
    if (ratio is None) == (macs is None):
        raise UsageError("structured pruning needs `ratio` or `macs`, one of the two")
    per_layer = dict(per_layer or {})
    groups = _groups(
        model, example, importance, include, exclude, tuple(per_layer), loss_batches, earlier or ()
    )
    at = functools.partial(
        choose,
        groups,
        scope=scope,
        max_layer_ratio=max_layer_ratio,
        per_layer=per_layer,
        round_to=round_to,
    )
    history = at(ratio) if ratio is not None else _search(model, example, at, macs or 0.0)
    if not history and earlier is None and (ratio or macs or any(per_layer.values())):
        raise ModelError(
            "nothing was pruned: no layer has channels to spare",
            hint=f"lower round_to ({round_to}), or raise the ratio",
        )
    _check(model, example, history)
    replay(model, example, history)
    return history


def replay(model: nn.Module, example: Tensor, history: Sequence[Sequence[Any]]) -> None:
    """Remove from a model, in place, the channels of a history: the same architecture again,
    whatever the weights.

    Raises ModelError when the history does not fit the model.
    """
    with _dependencies(model, example) as graph:
        try:
            graph.load_pruning_history([list(entry) for entry in history])
        except (AttributeError, KeyError, IndexError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"the pruning history does not fit the model: {error}",
                hint="it was made with another model",
            ) from None


def count_macs_params(model: nn.Module, example: Tensor) -> tuple[int, int]:
    """Multiply-accumulates of one sample (convolutions, matrix products and recurrent layers) and
    the number of parameters.

    `example` is a batch of shape (B, *sample). The model's mode is kept.
    """
    with (
        _evaluating(model),
        torch.no_grad(),
        warnings.catch_warnings(),
        FlopCounterMode(display=False) as counter,
    ):
        warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")
        with torch.backends.mkldnn.flags(enabled=False):  # its fused LSTM is opaque to the counter
            model(example)
    return counter.get_total_flops() // 2 // len(example), sum(
        parameter.numel() for parameter in model.parameters()
    )


def channel_groups(model: nn.Module, example: Tensor) -> tuple[tuple[str, ...], ...]:
    """The layers whose output channels can be removed, in groups that can only lose them together.
    Raises ModelError as `prune_structured` does."""
    return tuple(
        group.members for group in _groups(model, example, "magnitude", ("*",), (), (), None, ())
    )


def makes_channels(layer: nn.Module) -> bool:
    """Whether the channels of a group are this layer's own; norms and depthwise convolutions have
    those of the layer before them."""
    return isinstance(layer, nn.modules.conv._ConvNd | nn.Linear) and not _is_depthwise(layer)


def _groups(
    model: nn.Module,
    example: Tensor,
    importance: Importance,
    include: Sequence[str],
    exclude: Sequence[str],
    own_ratio: Sequence[str],
    loss_batches: LossBatches | None,
    earlier: Sequence[Sequence[Any]],
) -> list[Group]:
    """The groups that may be pruned, with their scores."""
    recurrent = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.RNNBase | nn.RNNCellBase)
    ]
    if recurrent:
        raise ModelError(
            f"channels cannot be followed through the recurrent layer {recurrent[0]}",
            hint="use method: unstructured, or build the model smaller",
        )
    layers = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear)
    ]
    require_matches(layers, include, purpose="layers to prune")
    require_matches(
        [name for name, _ in model.named_modules() if name], exclude, purpose="layers not to prune"
    )
    rank = _ranking(model, importance, loss_batches)
    groups = []
    with _dependencies(model, example) as graph, torch.no_grad():
        for group in graph.get_all_groups(root_module_types=[nn.modules.conv._ConvNd, nn.Linear]):
            if _is_prunable(graph, group, include, exclude):
                groups += _scored(graph, group, rank, earlier)
    model.zero_grad(set_to_none=True)
    if not groups:
        names = ", ".join(layers[:5]) or "(none)"
        raise ModelError(
            "the model has no channels that can be pruned",
            hint=f"layers: {names}; look at include and exclude",
        )
    require_matches(
        [name for group in groups for name in group.members],
        own_ratio,
        purpose="per_layer, among the layers that can be pruned",
    )
    return groups


def _ranking(
    model: nn.Module, importance: Importance, loss_batches: LossBatches | None
) -> Callable[[Any], Tensor | None]:
    """The importance estimator; for `taylor`, with the model's gradients accumulated (Molchanov et
    al. 2019)."""
    if importance not in IMPORTANCES:
        raise ModelError(
            f"there is no importance {importance!r}", hint=f"choose one of {', '.join(IMPORTANCES)}"
        )
    if importance == "taylor":
        if loss_batches is None:
            raise ModelError(
                "importance taylor needs losses to differentiate", hint="use importance: magnitude"
            )
        model.zero_grad(set_to_none=True)
        with _evaluating(model), torch.enable_grad():
            for loss in loss_batches(model):
                loss.backward()
        if not any(parameter.grad is not None for parameter in model.parameters()):
            raise ModelError(
                "importance taylor got no batch of labelled samples",
                hint="use importance: magnitude",
            )
    return IMPORTANCES[importance]()


def _is_prunable(
    graph: tp.DependencyGraph, group: Any, include: Sequence[str], exclude: Sequence[str]
) -> bool:
    """No channel is one of the model's outputs, every convolution or linear layer that makes the
    channels is meant, and nothing in it is excluded."""
    if any(
        not dep.target.outputs for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)
    ):
        return False
    members = _members(graph, group)
    made_by = [name for name, layer in members.items() if makes_channels(layer)]
    return all(matches(name, include) for name in made_by) and not any(
        matches(name, exclude) for name in members
    )


def _members(graph: tp.DependencyGraph, group: Any) -> dict[str, nn.Module]:
    """The layers whose output channels a group removes, by name."""
    names = graph._module2name
    outputs = [
        dep.target.module for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)
    ]
    return {
        names[layer]: layer
        for layer in outputs
        if isinstance(layer, nn.Module) and names.get(layer)
    }


def _scored(
    graph: tp.DependencyGraph,
    group: Any,
    rank: Callable[[Any], Tensor | None],
    earlier: Sequence[Sequence[Any]],
) -> list[Group]:
    """The group with its scores; empty when the importance does not rank it."""
    scores = rank(group)
    if scores is None:
        return []
    members = _members(graph, group)
    copies = _channel_groups(graph, group)
    if len(scores) % copies:
        return []
    # A group without any signal (weights or gradients all zero) is divided by its zero mean.
    scores = torch.nan_to_num(scores.float()).view(copies, -1).mean(0)
    root = graph._module2name[group[0].dep.target.module]
    removed = sum(len(indices) for name, _, indices in earlier if name == root)
    return [Group(root, tuple(members), scores.cpu(), copies, len(scores) + removed // copies)]


def _channel_groups(graph: tp.DependencyGraph, group: Any) -> int:
    """Into how many equal parts grouped convolutions and norms in the group divide the channels;
    each part must lose as many."""
    parts = 1
    for dep, _ in group:
        layer = dep.target.module
        if isinstance(layer, nn.Module) and not _is_depthwise(layer):
            pruner = graph.get_pruner_of_module(layer)
            count = (
                pruner.get_out_channel_groups
                if graph.is_out_channel_pruning_fn(dep.handler)
                else pruner.get_in_channel_groups
            )
            parts = math.lcm(parts, int(count(layer)))
    return parts


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == layer.out_channels > 1


def _search(
    model: nn.Module, example: Tensor, at: Callable[[float], History], target: float
) -> History:
    """The history of the smallest ratio that leaves at most `target` of the multiply-accumulates,
    by bisection."""
    whole, _ = count_macs_params(model, example)
    measured: dict[str, float] = {}

    def fraction(history: History) -> float:
        key = str(history)
        if key not in measured:
            measured[key] = _check(model, example, history) / whole
        return measured[key]

    low, high = 0.0, 1.0
    best = at(high)
    if fraction(best) > target:
        raise ModelError(
            f"the multiply-accumulates cannot be brought to {target:.1%}: {fraction(best):.1%} is"
            " the least",
            hint="raise macs or max_layer_ratio, or exclude less",
        )
    for _ in range(12):
        middle = (low + high) / 2
        history = at(middle)
        if fraction(history) <= target:
            high, best = middle, history
        else:
            low = middle
    return best


def _check(model: nn.Module, example: Tensor, history: History) -> int:
    """Multiply-accumulates after a history, tried on a copy. Raises ModelError when the copy does
    not run, or answers in another shape."""
    trial = copy.deepcopy(model)
    try:
        replay(trial, example, history)
        with _evaluating(trial), _evaluating(model), torch.no_grad():
            whole, pruned = model(example), trial(example)
        same = tp.utils.flatten_as_list(whole)[0].shape == tp.utils.flatten_as_list(pruned)[0].shape
    except EdgekitError:
        raise
    except Exception as error:  # whatever the pruned model stumbles over
        raise _not_followed(f"{type(error).__name__}: {error}".splitlines()[0]) from None
    if not same:
        raise _not_followed("the pruned model answers in another shape")
    return count_macs_params(trial, example)[0]


def _not_followed(reason: str) -> ModelError:
    hint = "exclude the layers around reshapes and attention, or use method: unstructured"
    return ModelError(f"the model's channels cannot be followed: {reason}", hint=hint)


@contextlib.contextmanager
def _dependencies(model: nn.Module, example: Tensor) -> Iterator[tp.DependencyGraph]:
    """The dependency graph of a model, which is traced through autograd: in eval mode, with
    gradients on for every parameter."""
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    for name in frozen:
        model.get_parameter(name).requires_grad_(True)
    try:
        with _evaluating(model), torch.enable_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
            try:
                graph = tp.DependencyGraph().build_dependency(
                    model, (example,), forward_fn=lambda traced, inputs: traced(*inputs)
                )
            except Exception as error:  # whatever the tracer stumbles over
                raise _not_followed(f"{type(error).__name__}: {error}".splitlines()[0]) from None
            yield graph
    finally:
        for name in frozen:
            model.get_parameter(name).requires_grad_(False)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; each module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
