"""Which layers of a prepared graph stay float."""

from __future__ import annotations

from torch.fx import GraphModule
from torchao.quantization.pt2e import FakeQuantizeBase, ObserverBase

from edgekit.captured_graph import WEIGHT_ARGUMENTS, argument, layer_of


def float_layers(graph: GraphModule) -> tuple[str, ...]:
    """Layers of a prepared graph whose weights no observer watches: they stay float."""
    names: dict[str, None] = {}
    for node in graph.graph.nodes:
        for position in WEIGHT_ARGUMENTS.get(node.target, ()):
            weight = argument(node, position)
            source = weight[0] if isinstance(weight, list | tuple) else weight
            watched = source.op == "call_module" and isinstance(
                graph.get_submodule(str(source.target)), ObserverBase | FakeQuantizeBase
            )
            if not watched:
                names[layer_of(node)] = None
    return tuple(names)
