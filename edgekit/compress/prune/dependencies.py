"""Which layers lose channels together, and which channels cannot go at all. Reads what
channel_flow.py found out about a network, and tries it: channels that the pruned network does not
carry to where the flow says stay whole.

Such are channels that an attention mixes, or that a forward with fixed numbers cuts."""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from edgekit.compress.prune.channel_flow import OUTPUT, Flow, Place
from edgekit.compress.prune.channel_tracing import require_same_flow, trace_channels
from edgekit.compress.prune.ties import ChannelsDiffer, Ties
from edgekit.compress.prune.weight_cutting import cut, is_depthwise
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs

CHANNEL_MAKERS = (nn.modules.conv._ConvNd, nn.Linear)
TRIAL_SHARE = 3
"""One of so many channels goes in a trial."""
DIFFER = "with fewer channels, others meet than before"


@dataclass(frozen=True)
class ChannelGroup:
    """Layers whose channels go together, headed by `root`. `members` make, filter or normalise
    them. A choice is what can go alone: `heads` has its head, and `channels` the channels that it
    stands for by layer, as a history lists them. `copies` is how many of the root's they are."""

    root: str
    members: tuple[str, ...]
    heads: tuple[int, ...]
    channels: tuple[Mapping[str, Sequence[int]], ...]
    copies: int


@dataclass(frozen=True)
class Whole:
    """Layers whose channels all stay, and why."""

    members: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Followed:
    """The groups of a network. `whole` are those that cannot be followed; those that make the
    model's outputs are in neither. `flow` ties what must go together; a history of channels is
    replayed by `base`, which ties no equal parts."""

    flow: Flow
    base: Flow
    groups: tuple[ChannelGroup, ...]
    whole: tuple[Whole, ...]


def followed(
    model: nn.Module,
    example: Inputs,
    may_go: Callable[[ChannelGroup], bool] = lambda group: True,
) -> Followed:
    """The groups of a model that `may_go`, by a batch of inputs.

    Raises ModelError when the model does not run."""
    try:
        flow = trace_channels(model, example)
    except ModelError:
        raise
    except Exception as error:  # whatever the user's own forward stumbles over
        raise not_followed(error_line(error)) from None
    base = flow.ties.copy()
    groups, whole = _groups(flow, base)
    asked = [group for group in groups if may_go(group)]
    problems: dict[str, str] = {}
    if _problem(model, example, flow, asked):
        # The forward may cut channels into parts that must lose the same.
        tied = replace(flow, ties=base.copy())
        _tie_parts(tied, {head for group in asked for head in group.heads})
        if _problem(model, example, tied, _asked(tied, base, may_go)):
            tied = replace(flow, ties=base.copy())
            problems = _failing(model, example, flow, asked)
            heads = {head for group in asked if group.root in problems for head in group.heads}
            if _tie_parts(tied, heads):
                problems = _failing(model, example, tied, _asked(tied, base, may_go))
        flow = tied
        groups, whole = _groups(flow, base)
        asked = [group for group in groups if may_go(group)]
    whole += [
        Whole(group.members, problems[group.root]) for group in asked if group.root in problems
    ]
    rest = tuple(group for group in asked if group.root not in problems)
    return Followed(flow, replace(flow, ties=base), rest, tuple(whole))


def _asked(flow: Flow, base: Ties, may_go: Callable[[ChannelGroup], bool]) -> list[ChannelGroup]:
    return [group for group in _groups(flow, base)[0] if may_go(group)]


def not_followed(reason: str) -> ModelError:
    """The error for a model whose channels are followed wrong or not at all."""
    hint = "exclude the layers around reshapes and attention, or use method: unstructured"
    return ModelError(f"the model's channels cannot be followed: {reason}", hint=hint)


def problem_without(
    model: nn.Module, example: Inputs, flow: Flow, removed: Iterable[int]
) -> str | None:
    """What is wrong with the model without these channels, tried on a copy."""
    trial, heads = copy.deepcopy(model), set(removed)
    try:
        require_same_flow(trial, example, cut(trial, flow, heads))
    except ChannelsDiffer:
        return DIFFER
    except Exception as error:  # whatever the pruned model stumbles over
        return error_line(error)
    return None


def source_name(place: Place) -> str:
    """What a history calls the layer that makes channels: by the layer's name where they are its
    `weight`'s, else by the parameter's."""
    layer, _, key = place[0].rpartition(".")
    return layer if key == "weight" else place[0]


def makes_channels(layer: nn.Module) -> bool:
    """Whether the channels of a group are this layer's own; norms and depthwise convolutions have
    those of the layer before them."""
    return isinstance(layer, CHANNEL_MAKERS) and not is_depthwise(layer)


def _groups(flow: Flow, base: Ties) -> tuple[list[ChannelGroup], list[Whole]]:
    """The groups in the order in which a run makes their channels; and those that cannot go, but
    for outputs. `base` are the ties without those of equal parts."""
    fixed, owners, listed = _fixed(flow), _owners(flow), _listed(flow, base)
    groups, whole, seen = [], [], {0}
    for place in flow.sources:
        heads = flow.ties.heads(flow.axes[place].channels).tolist()
        fresh = tuple(dict.fromkeys(head for head in heads if head not in seen))
        seen |= set(fresh)
        members = tuple(dict.fromkeys(name for head in fresh for name in owners[head] if name))
        reasons = {fixed[head] for head in fresh if head in fixed}
        times = Counter(heads)
        counts = {times[head] for head in fresh}
        if len(counts) > 1:
            reasons.add("they go in unequal parts")
        if fresh and not reasons:
            channels = tuple(listed[head] for head in fresh)
            groups.append(ChannelGroup(source_name(place), members, fresh, channels, counts.pop()))
        elif fresh and OUTPUT not in reasons:
            whole.append(Whole(members, sorted(reasons)[0]))
    return groups, whole


def _fixed(flow: Flow) -> dict[int, str]:
    """Why channels cannot go, by head."""
    fixed: dict[int, str] = {}
    for channel, reason in flow.fixed.items():
        head = flow.ties.head(channel)
        fixed[head] = OUTPUT if fixed.get(head) == OUTPUT else reason
    return fixed


def _owners(flow: Flow) -> Mapping[int, Mapping[str, None]]:
    """The layers that channels are of, by head."""
    owners: dict[int, dict[str, None]] = defaultdict(dict)
    for (name, _), axis in flow.axes.items():
        if axis.own:
            for head in flow.ties.heads(axis.channels.unique()).tolist():
                owners[head][name.rpartition(".")[0]] = None
    return owners


def _listed(flow: Flow, base: Ties) -> Mapping[int, Mapping[str, Sequence[int]]]:
    """The channels that stand for each head, by layer: of all that are tied anyway, those of the
    first layer."""
    listed: dict[int, dict[str, list[int]]] = defaultdict(dict)
    places: dict[int, Place] = {}
    for place in flow.sources:
        channels, name = flow.axes[place].channels, source_name(place)
        tied_by = zip(
            flow.ties.heads(channels).tolist(), base.heads(channels).tolist(), strict=True
        )
        for index, (head, tied) in enumerate(tied_by):
            if places.setdefault(tied, place) == place:
                listed[head].setdefault(name, []).append(index)
    return listed


def _problem(
    model: nn.Module, example: Inputs, flow: Flow, groups: Sequence[ChannelGroup]
) -> str | None:
    """What is wrong when all of these groups lose channels."""
    removed = [head for group in groups for head in _sample(group)]
    return problem_without(model, example, flow, removed) if removed else None


def _failing(
    model: nn.Module, example: Inputs, flow: Flow, groups: Sequence[ChannelGroup]
) -> dict[str, str]:
    """What is wrong with each group that cannot lose channels, by its root: all are tried together,
    and by halves where that fails."""
    reason = _problem(model, example, flow, groups)
    if reason is None:
        return {}
    if len(groups) == 1:
        return {groups[0].root: reason}
    half = len(groups) // 2
    return _failing(model, example, flow, groups[:half]) | _failing(
        model, example, flow, groups[half:]
    )


def _sample(group: ChannelGroup) -> list[int]:
    """Channels at no regular distance, so that no cut into parts gets them right by chance."""
    count = min(len(group.heads) - 1, max(1, len(group.heads) // TRIAL_SHARE))
    return random.Random(len(group.heads)).sample(group.heads, count)


def _tie_parts(flow: Flow, heads: set[int]) -> bool:
    """Tie the parts into which these channels are cut. False where they are not."""
    cut_parts = [
        parts for parts in flow.splits if heads & set(flow.ties.heads(parts).flatten().tolist())
    ]
    for parts in cut_parts:
        flow.ties.tie_rows(parts)
    return bool(cut_parts)


def error_line(error: Exception) -> str:
    """The class of an error and the first line of what it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
