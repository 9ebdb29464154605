"""Which layers of a prepared graph stay float."""

from __future__ import annotations

from collections.abc import Sequence

from torch.fx import GraphModule
from torchao.quantization.pt2e import FakeQuantizeBase, ObserverBase

from edgekit.captured_graph import WEIGHT_ARGUMENTS, argument, layer_of
from edgekit.compress.patterns import matches
from edgekit.prose import some


def float_notes(graph: GraphModule, keep_float: Sequence[str]) -> tuple[str, ...]:
    """A note on the layers of a prepared graph that stay float without being asked to."""
    names = [name for name in float_layers(graph) if not matches(name, keep_float)]
    return (f"stay float: {some(names)}",) if names else ()


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
