"""An observer for tensors that share one scale, and its way into prepared graphs. Owns nothing
else; all other observers are torchao's."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torchao.quantization.pt2e import FakeQuantizeBase, MovingAverageMinMaxObserver


class SharedRangeObserver(MovingAverageMinMaxObserver):
    """Follows the range of several tensors: widens at once, and narrows by `averaging_constant` of
    the difference per tensor.

    A plain moving average settles between the tensors' ranges and clips the wider ones. A feature
    map and its global average, which share a scale in most image classifiers, then lose a third of
    the map's range."""

    def forward(self, x_orig: Tensor) -> Tensor:
        if x_orig.numel() == 0:
            return x_orig
        low, high = torch.aminmax(x_orig.detach().to(self.min_val.dtype))
        if torch.isfinite(self.min_val):
            low = torch.minimum(low, self.min_val + self.averaging_constant * (low - self.min_val))
            high = torch.maximum(
                high, self.max_val + self.averaging_constant * (high - self.max_val)
            )
        self.min_val.copy_(low)
        self.max_val.copy_(high)
        return x_orig


def widen_shared(graph: GraphModule) -> None:
    """Give every moving average of a prepared graph that watches several tensors a
    SharedRangeObserver instead, in place."""
    sites: dict[int, list[str]] = defaultdict(list)
    for node in graph.graph.nodes:
        if node.op == "call_module":
            sites[id(graph.get_submodule(str(node.target)))].append(str(node.target))
    for names in sites.values():
        module = graph.get_submodule(names[0])
        average: Any = (
            module.activation_post_process if isinstance(module, FakeQuantizeBase) else module
        )
        if len(names) < 2 or type(average) is not MovingAverageMinMaxObserver:
            continue
        shared = SharedRangeObserver(
            averaging_constant=average.averaging_constant / len(names),
            dtype=average.dtype,
            qscheme=average.qscheme,
            quant_min=average.quant_min,
            quant_max=average.quant_max,
            eps=average.eps.item(),
        )
        if isinstance(module, FakeQuantizeBase):
            module.activation_post_process = shared
        else:
            for name in names:
                graph.set_submodule(name, shared)
