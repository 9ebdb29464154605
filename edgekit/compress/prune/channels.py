"""Which channels go, and how many of each layer. Pure arithmetic on scores: knows no model. Finding
the groups of layers and removing their channels is channel_removal.py."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, argsort

from edgekit.compress.patterns import matches

History = list[list[Any]]
"""[layer name, whether its outputs are meant, channel indices] in the order of removal: plain JSON
values. Indices count what the entries before have left."""


@dataclass(frozen=True)
class Group:
    """Layers whose output channels go together, headed by `root`. `scores` rank the choices: what
    can go alone, mostly one channel of the root, or, where channels are grouped, one of each of its
    `copies` parts. `channels` has the channels of each choice by layer; `before` is how many
    choices there were before the steps that came earlier."""

    root: str
    members: tuple[str, ...]
    scores: Tensor
    copies: int
    before: int
    channels: tuple[Mapping[str, Sequence[int]], ...]

    def entries(self, removed: Sequence[int]) -> History:
        """The channels that stand for the removed choices."""
        indices: dict[str, list[int]] = {}
        for choice in removed:
            for layer, channels in self.channels[choice].items():
                indices.setdefault(layer, []).extend(channels)
        return [[layer, True, sorted(channels)] for layer, channels in indices.items()]


def choose(
    groups: Sequence[Group],
    ratio: float,
    *,
    scope: str,
    max_layer_ratio: float,
    per_layer: Mapping[str, float],
    round_to: int,
) -> History:
    """The history that removes a fraction `ratio` of the channels, of each group (scope `layer`) or
    of all together (scope `global`).

    `per_layer` gives groups with a member of that pattern their own ratio. No group loses more than
    `max_layer_ratio`; what is left of it is the nearest multiple of `round_to` channels, or all of
    it."""
    own = {
        group.root: value
        for group in groups
        for value in [_own_ratio(group, per_layer)]
        if value is not None
    }
    removals = {
        group.root: own.get(group.root, ratio) * group.before - (group.before - len(group.scores))
        for group in groups
    }
    if scope == "global":
        removals |= _global_counts(
            [group for group in groups if group.root not in own], ratio, max_layer_ratio
        )
    history: History = []
    for group in groups:
        count = len(group.scores) - _remaining(
            group, len(group.scores) - removals[group.root], max_layer_ratio, round_to
        )
        if count > 0:
            weakest = argsort(group.scores, stable=True)[:count].tolist()
            history += group.entries(weakest)
    return history


def _own_ratio(group: Group, per_layer: Mapping[str, float]) -> float | None:
    return next(
        (
            ratio
            for pattern, ratio in per_layer.items()
            if any(matches(name, (pattern,)) for name in group.members)
        ),
        None,
    )


def _global_counts(
    groups: Sequence[Group], ratio: float, max_layer_ratio: float
) -> dict[str, float]:
    """How many choices each group loses when all are ranked together and no group loses more than
    its limit."""
    total = sum(group.before for group in groups)
    left = round(ratio * total) - sum(group.before - len(group.scores) for group in groups)
    spare = {group.root: len(group.scores) - _fewest(group, max_layer_ratio) for group in groups}
    counts = dict.fromkeys(spare, 0.0)
    ranked = sorted(
        (score, index) for index, group in enumerate(groups) for score in group.scores.tolist()
    )
    for _, index in ranked:
        root = groups[index].root
        if left > 0 and spare[root] > 0:
            spare[root] -= 1
            counts[root] += 1
            left -= 1
    return counts


def _fewest(group: Group, max_layer_ratio: float) -> int:
    return max(1, math.ceil(group.before * (1 - max_layer_ratio) - 1e-9))


def _remaining(group: Group, target: float, max_layer_ratio: float, round_to: int) -> int:
    """How many choices stay: the multiple of `round_to` channels nearest to `target` that the
    limits allow, or all there are."""
    now = len(group.scores)
    step = round_to // math.gcd(round_to, group.copies)
    first = math.ceil(_fewest(group, max_layer_ratio) / step) * step
    allowed = [*range(first, now, step), now]
    return min(allowed, key=lambda count: (abs(count - target), -count))
