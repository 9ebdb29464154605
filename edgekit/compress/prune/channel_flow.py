"""Where the channels of a network go: from the layers that make them, through views, sums and
concatenations, to the layers that take them. The network is run once, and beside each tensor goes
another of the same shape that holds the number of the channel each value belongs to. Operators that
move values move these numbers alike; where two meet in a sum, or in one input channel of a layer,
the channels are tied: they can only be removed together (the dependencies of Fang et al. 2023,
arXiv:2301.12900).

Owns what is known of channels during such a run, and its result. The run is channel_tracing.py's,
what each operator does channel_rules.py's, which channels can go dependencies.py's."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from edgekit.compress.prune.ties import ChannelsDiffer, Ties
from edgekit.compress.prune.weight_views import WeightView, WeightViews

Place = tuple[str, int]
"""A parameter or buffer by name, and one of its axes."""

OUTPUT = ""
"""Why channels that are the model's output stay."""


@dataclass(frozen=True)
class Axis:
    """The channel of each index of a parameter's or a buffer's axis, 0 for none. `own`: they are
    those of the layer's result; else the layer takes them."""

    channels: Tensor
    own: bool


@dataclass(frozen=True)
class Flow:
    """`sources` are the axes where channels begin, in the order of the run. `fixed` says of
    channels that cannot go why, OUTPUT where they are the model's. `splits` are matrices of
    channels that views and slices cut into equal parts, a part in each row: these may have to lose
    the same columns. `outputs` are the shapes of what the model returned."""

    axes: Mapping[Place, Axis]
    sources: tuple[Place, ...]
    ties: Ties
    fixed: Mapping[int, str]
    splits: tuple[Tensor, ...]
    outputs: Mapping[str, torch.Size]

    def without(self, removed: Collection[int]) -> Flow:
        """The flow after the channels with these heads are gone."""
        gone = self.ties.tied_to(removed)
        axes = {
            place: dataclasses.replace(axis, channels=axis.channels[~gone[axis.channels]])
            for place, axis in self.axes.items()
        }
        return dataclasses.replace(self, axes=axes, splits=())


class Tracer:
    """What is known of channels while a model runs. With `expected`, the channels of each place are
    known, and others than these raise ChannelsDiffer."""

    def __init__(
        self, model: nn.Module, ties: Ties, expected: Mapping[Place, Tensor] | None
    ) -> None:
        self.ties, self.expected = ties, expected
        self.weights = WeightViews(model)
        self.recurrent = tuple(
            f"{name}." if name else ""
            for name, layer in model.named_modules()
            if isinstance(layer, nn.RNNBase | nn.RNNCellBase)
        )
        self.axes: dict[Place, Axis] = {}
        self.sources: dict[Place, None] = {}
        self.fixed: dict[int, str] = {}
        self.splits: list[Tensor] = []
        self._channels: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def at(self, tensor: Any) -> Tensor | None:
        """The channel of each value of a tensor; None where none has one."""
        return self._channels.get(tensor) if isinstance(tensor, Tensor) else None

    def put(self, tensor: Tensor, channels: Tensor | None) -> None:
        if channels is None:
            self._channels.pop(tensor, None)
        else:
            self._channels[tensor] = channels.expand(tensor.shape)

    def along(self, tensor: Tensor, axis: int) -> Tensor:
        """The channel of each index of an axis: what lies along the others is tied. 0 for none."""
        channels = self.at(tensor)
        if channels is None:
            return torch.zeros(tensor.shape[axis], dtype=torch.int64)
        first = across(channels, axis)
        rows = compact(channels).movedim(axis, 0)
        rows = rows.reshape(len(rows), -1)
        self.ties.tie(first[: len(rows), None].expand_as(rows), rows)
        return first

    def source(self, view: WeightView, axis: int, count: int) -> Tensor:
        """The channels that begin at an axis of a weight."""
        place = (view.tensor, axis)
        if place not in self.axes:
            channels = self.ties.new(count) if self.expected is None else self.expected[place]
            self.axes[place] = Axis(channels, own=True)
            self.sources[place] = None
        return self.axes[place].channels

    def bind(self, view: WeightView, axis: int, channels: Tensor, *, own: bool) -> None:
        """An axis of a weight that has these channels."""
        place = (view.tensor, axis)
        if self.expected is not None and not torch.equal(
            self.ties.heads(channels), self.expected.get(place, channels)
        ):
            raise ChannelsDiffer
        known = self.axes.setdefault(place, Axis(channels, own))
        self.ties.tie(known.channels, channels)
        if own and not known.own:
            self.axes[place] = dataclasses.replace(known, own=True)

    def fix(self, tensor: Any, reason: str) -> None:
        """The channels of a tensor cannot go."""
        channels = self.at(tensor)
        if channels is not None:
            for channel in compact(channels).unique().tolist():
                self.fixed.setdefault(channel, reason)

    def layer(self, value: Any) -> WeightView | None:
        """Which weight a tensor is, unless it is of a recurrent layer."""
        view = self.weights.of(value) if isinstance(value, Tensor) else None
        return None if view is None or view.tensor.startswith(self.recurrent) else view

    def derive(self, args: Any, result: Any) -> None:
        """What is computed from weights alone is still a weight, such as a standardised one."""
        outputs = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        for weight in tree_leaves(args):
            view = self.layer(weight)
            for output in outputs if view is not None else ():
                if self.layer(output) is None and view is not None:
                    self.weights.derive(output, weight, view)

    def is_recurrent(self, weight: Tensor) -> bool:
        return self.layer(weight) is None and self.weights.of(weight) is not None


def compact(channels: Tensor) -> Tensor:
    """Without what is only repeated: axes of stride 0 have size 1."""
    for axis, stride in enumerate(channels.stride()):
        if stride == 0 and channels.shape[axis] > 1:
            channels = channels.narrow(axis, 0, 1)
    return channels


def across(channels: Tensor, axis: int) -> Tensor:
    """The channel of each index of an axis, whatever lies along the others."""
    rows = compact(channels).movedim(axis, 0)
    return rows.reshape(len(rows), -1).amax(1).expand(channels.shape[axis])


def varying(channels: Tensor) -> tuple[int, ...]:
    """The axes along which channels differ."""
    small = compact(channels)
    return tuple(
        axis
        for axis, size in enumerate(small.shape)
        if size > 1 and not torch.equal(small, small.narrow(axis, 0, 1).expand_as(small))
    )
