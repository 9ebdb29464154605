"""Removal of whole channels, with everything that depends on them. Owns which groups of layers a
recipe's settings mean, and the history of what was removed.

Which layers depend on each other is dependencies.py's; how many channels go is channels.py's, which
ones importance.py's, and weight_cutting.py cuts them out."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import nn

from edgekit.compress.counting import count_macs_params
from edgekit.compress.patterns import matches, require_matches
from edgekit.compress.prune.channel_flow import Flow
from edgekit.compress.prune.channel_tracing import trace_channels
from edgekit.compress.prune.channels import Group, History, choose
from edgekit.compress.prune.dependencies import (
    CHANNEL_MAKERS,
    ChannelGroup,
    Followed,
    error_line,
    followed,
    makes_channels,
    not_followed,
    problem_without,
    source_name,
)
from edgekit.compress.prune.importance import Importance, LossBatches, group_scores
from edgekit.compress.prune.weight_cutting import cut
from edgekit.errors import ModelError, UsageError
from edgekit.models.calling import Inputs
from edgekit.prose import some


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

    Layers whose channels cannot be followed stay whole (`followed` names them).

    Raises ModelError: a pattern that matches nothing, nothing to prune, a target out of reach, no
    channels that can be followed. The model is then unchanged. Raises UsageError unless exactly one
    of ratio and macs is given."""
    if (ratio is None) == (macs is None):
        raise UsageError("structured pruning needs `ratio` or `macs`, one of the two")
    per_layer = dict(per_layer or {})
    plan = _followed(model, example, include, exclude)
    groups = _scored(model, plan, importance, loss_batches, earlier or ())
    require_matches(
        [name for group in groups for name in group.members],
        tuple(per_layer),
        purpose="per_layer, among the layers that can be pruned",
    )
    at = functools.partial(
        choose,
        groups,
        scope=scope,
        max_layer_ratio=max_layer_ratio,
        per_layer=per_layer,
        round_to=round_to,
    )
    history = at(ratio) if ratio is not None else _search(model, example, plan, at, macs or 0.0)
    if not history and earlier is None and (ratio or macs or any(per_layer.values())):
        raise ModelError(
            "nothing was pruned: no layer has channels to spare",
            hint=f"lower round_to ({round_to}), or raise the ratio",
        )
    # A flow that is wrong is found out on a copy: the model itself may not be left with some of its
    # layers pruned and others not.
    heads = _heads(plan.flow, history)
    problem = problem_without(model, example, plan.flow, heads)
    if problem is not None:
        raise not_followed(problem)
    history = _in_turn(plan.base, history)
    cut(model, plan.flow, heads)
    return history


def replay(model: nn.Module, example: Inputs, history: Sequence[Sequence[Any]]) -> None:
    """Remove from a model, in place, the channels of a history: the same architecture again,
    whatever the weights.

    Raises ModelError when the history does not fit the model.
    """
    flow = trace_channels(model, example)
    removed: set[int] = set()
    try:
        places = _places(flow)
        for name, _, indices in history:
            axis = flow.axes[places[name]]
            left = axis.channels[~flow.ties.tied_to(removed)[axis.channels]]
            removed |= set(flow.ties.heads(left[indices]).tolist())
        cut(model, flow, removed)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the pruning history does not fit the model: {error}",
            hint="it was made with another model",
        ) from None


def channel_groups(model: nn.Module, example: Inputs) -> Followed:
    """The layers whose output channels can be removed, in groups that can only lose them together,
    and those that stay whole. Raises ModelError as `prune_structured` does."""
    return _followed(model, example, ("*",), ())


def _followed(
    model: nn.Module, example: Inputs, include: Sequence[str], exclude: Sequence[str]
) -> Followed:
    """The groups that may be pruned: `include` names every layer that makes their channels,
    `exclude` names none of their layers."""
    layers = [name for name, layer in model.named_modules() if isinstance(layer, CHANNEL_MAKERS)]
    require_matches(layers, include, purpose="layers to prune")
    require_matches(
        [name for name, _ in model.named_modules() if name], exclude, purpose="layers not to prune"
    )

    def may_go(group: ChannelGroup) -> bool:
        makers = [name for name in group.members if makes_channels(model.get_submodule(name))]
        return all(matches(name, include) for name in makers) and not any(
            matches(name, exclude) for name in group.members
        )

    plan = followed(model, example, may_go)
    if not plan.groups:
        raise _nothing_left(model, plan, layers)
    return plan


def _nothing_left(model: nn.Module, plan: Followed, layers: Sequence[str]) -> ModelError:
    recurrent = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.RNNBase | nn.RNNCellBase)
    ]
    if recurrent:
        return ModelError(
            f"channels cannot be followed through the recurrent layer {recurrent[0]}",
            hint="use method: unstructured, or build the model smaller",
        )
    if plan.whole:
        whole = plan.whole[0]
        return not_followed(f"those of {some(whole.members)} stay whole ({whole.reason})")
    return ModelError(
        "the model has no channels that can be pruned",
        hint=f"layers: {', '.join(layers[:5]) or '(none)'}; look at include and exclude",
    )


def _scored(
    model: nn.Module,
    plan: Followed,
    importance: Importance,
    loss_batches: LossBatches | None,
    earlier: Sequence[Sequence[Any]],
) -> list[Group]:
    """The groups with their scores, without those that the importance does not rank."""
    scores = group_scores(model, plan.flow, plan.groups, importance, loss_batches)
    groups = []
    for group, worth in zip(plan.groups, scores, strict=True):
        if worth is not None:
            # Ratios count from the channels before the first step of a schedule.
            removed = sum(len(indices) for name, _, indices in earlier if name == group.root)
            before = len(worth) + removed // group.copies
            groups.append(
                Group(group.root, group.members, worth, group.copies, before, group.channels)
            )
    return groups


def _places(flow: Flow) -> dict[str, tuple[str, int]]:
    """The place in a flow of each layer that a history may name."""
    return {source_name(place): place for place in flow.sources}


def _heads(flow: Flow, history: History) -> set[int]:
    """The channels of a history whose indices all count from before it."""
    places = _places(flow)
    return {
        head
        for name, _, indices in history
        for head in flow.ties.heads(flow.axes[places[name]].channels[indices]).tolist()
    }


def _in_turn(flow: Flow, history: History) -> History:
    """The history whose indices count what the entries before have left: of a layer whose channels
    are in several groups, some may be gone by then."""
    places, removed, entries = _places(flow), set[int](), []
    for name, _, indices in history:
        axis = flow.axes[places[name]]
        left = (~flow.ties.tied_to(removed)[axis.channels]).nonzero().flatten().tolist()
        entries.append([name, True, [left.index(index) for index in indices]])
        removed |= set(flow.ties.heads(axis.channels[indices]).tolist())
    return entries


def _search(
    model: nn.Module,
    example: Inputs,
    plan: Followed,
    at: Callable[[float], History],
    target: float,
) -> History:
    """The history of the smallest ratio that leaves at most `target` of the multiply-accumulates,
    by bisection."""
    whole, _ = count_macs_params(model, example)
    measured: dict[str, float] = {}

    def fraction(history: History) -> float:
        key = str(history)
        if key not in measured:
            measured[key] = _macs_after(model, example, plan.flow, history) / whole
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


def _macs_after(model: nn.Module, example: Inputs, flow: Flow, history: History) -> int:
    """Multiply-accumulates after a history, tried on a copy. Raises ModelError when the copy does
    not run."""
    trial = copy.deepcopy(model)
    try:
        cut(trial, flow, _heads(flow, history))
        return count_macs_params(trial, example)[0]
    except Exception as error:  # whatever the pruned model stumbles over
        raise not_followed(error_line(error)) from None
