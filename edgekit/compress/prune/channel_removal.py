"""Removal of whole channels, with everything that depends on them. Owns the groups of layers that
lose channels together, and the removal.

Which layers depend on each other is torch-pruning's DepGraph (Fang et al. 2023, arXiv:2301.12900);
how many channels go is channels.py. torch-pruning's own pruner is not used: it rounds channel
counts down only, and lets a layer fall below its limit in a single step."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn

from edgekit.compress.counting import count_macs_params, evaluating
from edgekit.compress.patterns import require_matches
from edgekit.compress.prune.channels import Group, History, choose
from edgekit.compress.prune.dependencies import (
    CHANNEL_MAKERS,
    dependencies,
    equal_parts,
    is_prunable,
    members,
    not_followed,
)
from edgekit.compress.prune.importance import Importance, LossBatches, ranking
from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.models.calling import Inputs, call


def prune_structured(
    model: nn.Module,
    example: Inputs,
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

    `example` is a batch by input name. `loss_batches(model)` yields the losses that
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
    # A model that DepGraph gets wrong is found out on a copy: the model itself may not be left
    # with some of its layers pruned and others not.
    _check(model, example, history)
    replay(model, example, history)
    return history


def replay(model: nn.Module, example: Inputs, history: Sequence[Sequence[Any]]) -> None:
    """Remove from a model, in place, the channels of a history: the same architecture again,
    whatever the weights.

    Raises ModelError when the history does not fit the model.
    """
    with dependencies(model, example) as graph:
        try:
            graph.load_pruning_history([list(entry) for entry in history])
        except (AttributeError, KeyError, IndexError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"the pruning history does not fit the model: {error}",
                hint="it was made with another model",
            ) from None


def channel_groups(model: nn.Module, example: Inputs) -> tuple[tuple[str, ...], ...]:
    """The layers whose output channels can be removed, in groups that can only lose them together.
    Raises ModelError as `prune_structured` does."""
    return tuple(
        group.members for group in _groups(model, example, "magnitude", ("*",), (), (), None, ())
    )


def _groups(
    model: nn.Module,
    example: Inputs,
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
    layers = [name for name, layer in model.named_modules() if isinstance(layer, CHANNEL_MAKERS)]
    require_matches(layers, include, purpose="layers to prune")
    require_matches(
        [name for name, _ in model.named_modules() if name], exclude, purpose="layers not to prune"
    )
    rank = ranking(model, importance, loss_batches)
    groups = []
    with dependencies(model, example) as graph, torch.no_grad():
        for group in graph.get_all_groups(root_module_types=list(CHANNEL_MAKERS)):
            if is_prunable(graph, group, include, exclude):
                groups += _scored(graph, group, rank, earlier)
    model.zero_grad(set_to_none=True)  # the gradients of importance taylor
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
    layers = members(graph, group)
    copies = equal_parts(graph, group)
    if len(scores) % copies:
        return []
    # One choice removes a channel from each of the equal parts: its score is the mean of theirs.
    # A group without any signal (weights or gradients all zero) is divided by its zero mean.
    scores = torch.nan_to_num(scores.float()).view(copies, -1).mean(0)
    root = graph._module2name[group[0].dep.target.module]
    # Ratios count from the channels before the first step of a schedule.
    removed = sum(len(indices) for name, _, indices in earlier if name == root)
    return [Group(root, tuple(layers), scores.cpu(), copies, len(scores) + removed // copies)]


def _search(
    model: nn.Module, example: Inputs, at: Callable[[float], History], target: float
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

    # Rounding to whole blocks of channels makes the count fall in steps: many ratios have the same
    # history, which is counted once. Twelve halvings are finer than one channel in 4096.
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


def _check(model: nn.Module, example: Inputs, history: History) -> int:
    """Multiply-accumulates after a history, tried on a copy. Raises ModelError when the copy does
    not run, or answers in another shape."""
    trial = copy.deepcopy(model)
    try:
        replay(trial, example, history)
        with evaluating(trial), evaluating(model), torch.no_grad():
            before, after = _shapes(model, example), _shapes(trial, example)
    except EdgekitError:
        raise
    except Exception as error:  # whatever the pruned model stumbles over
        raise not_followed(f"{type(error).__name__}: {error}".splitlines()[0]) from None
    if before != after:
        raise not_followed("the pruned model answers in another shape")
    return count_macs_params(trial, example)[0]


def _shapes(model: nn.Module, example: Inputs) -> dict[str, torch.Size]:
    return {name: output.shape for name, output in call(model, example).items()}
