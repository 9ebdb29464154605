"""Which channels can only be removed together, as disjoint sets of numbers. Knows no model."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor


class ChannelsDiffer(Exception):
    """Two channels meet that are not tied, where no more may be tied."""


class Ties:
    """Channels are numbers from 1 on; 0 stands for none, and is tied to nothing.

    Once it is `closed`, tying two channels that are not tied yet raises ChannelsDiffer."""

    def __init__(self) -> None:
        self._parents = [0]
        self._heads: Tensor | None = None
        self.closed = False

    def copy(self) -> Ties:
        """The same ties, to which others can be added."""
        ties = Ties()
        ties._parents = list(self._parents)
        return ties

    def new(self, count: int) -> Tensor:
        """So many channels that are tied to no others."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        self._heads = None
        return torch.arange(first, first + count)

    def head(self, channel: int) -> int:
        """The channel that stands for all that are tied to this one."""
        parents = self._parents
        while parents[channel] != channel:
            parents[channel] = parents[parents[channel]]
            channel = parents[channel]
        return channel

    def heads(self, channels: Tensor) -> Tensor:
        """The head of each, in the same shape."""
        return self._all_heads()[channels]

    def tied_to(self, heads: Collection[int]) -> Tensor:
        """Of each channel by its number, whether it has one of these heads."""
        table = self._all_heads()
        marked = torch.zeros(len(table), dtype=torch.bool)
        marked[sorted(heads)] = True
        return marked[table]

    def _all_heads(self) -> Tensor:
        if self._heads is None:
            heads = torch.tensor(self._parents)
            while not torch.equal(heads[heads], heads):
                heads = heads[heads]
            self._heads = heads
        return self._heads

    def tie(self, first: Tensor, second: Tensor) -> None:
        """Tie each channel to the one at the same place. Both have one shape."""
        apart = (first != second) & (first > 0) & (second > 0)
        if not apart.any():
            return
        for pair in torch.stack([first[apart], second[apart]], 1).unique(dim=0).tolist():
            low, high = sorted(map(self.head, pair))
            if low == high:
                continue
            if self.closed:
                raise ChannelsDiffer
            self._parents[high] = low
            self._heads = None

    def tie_rows(self, channels: Tensor) -> None:
        """Tie the channels of a matrix along its rows: all of each column become one."""
        for row in channels[1:]:
            self.tie(channels[0], row)
