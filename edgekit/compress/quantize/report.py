"""What a converted graph holds: the evidence that an exported artifact is compared with. Reads
graphs from `quantize.convert`, folded or not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekit.captured_graph import argument, layer_of, tensor_of

_OPS = torch.ops.quantized_decomposed
QUANTIZE = (_OPS.quantize_per_channel.default, _OPS.quantize_per_tensor.default)
DEQUANTIZE = (_OPS.dequantize_per_channel.default, _OPS.dequantize_per_tensor.default)
CONVOLUTIONS = (
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
)
WEIGHTED = tuple(
    getattr(torch.ops.aten, name) for name in (*CONVOLUTIONS, "linear", "lstm", "gru", "embedding")
)


def quantized_layer_report(graph: GraphModule) -> dict[str, Any]:
    """Plain JSON values about a converted graph.

    `layers`: by layer name, the int8 weight's shape, its scale per channel (one, if per tensor),
    and the fraction of zeros in it. `float_layers`: layers whose weights are not int8.
    `activations`: scale and zero point of every statically quantized tensor, in graph order, with
    the layer that makes it."""
    stored = _stored_weights(graph)
    layers = {
        name: {
            "shape": list(weight[0].shape),
            "scales": weight[1].tolist(),
            "zero_fraction": (weight[0] == 0).float().mean().item(),
        }
        for name, weight in stored.items()
        if weight is not None
    }
    return {
        "layers": layers,
        "float_layers": [name for name in stored if name not in layers],
        "activations": _activations(graph),
    }


def int8_weights(graph: GraphModule) -> dict[str, Tensor]:
    """The int8 weight of every layer that has one, by layer name."""
    return {
        name: weight[0] for name, weight in _stored_weights(graph).items() if weight is not None
    }


def _stored_weights(graph: GraphModule) -> dict[str, tuple[Tensor, Tensor] | None]:
    """By the name of every layer with a weight: its int8 values and scales, or None for a weight in
    float."""
    layers = [
        node
        for node in graph.graph.nodes
        if getattr(node.target, "overloadpacket", None) in WEIGHTED
    ]
    return {
        layer_of(node): _int8_weight(
            graph, argument(node, 0 if "embedding" in str(node.target) else 1)
        )
        for node in layers
    }


def _int8_weight(graph: GraphModule, weight: Any) -> tuple[Tensor, Tensor] | None:
    if not isinstance(weight, Node) or weight.target not in DEQUANTIZE:
        return None
    source = argument(weight, 0)
    values = tensor_of(graph, source) if source.op == "get_attr" else _quantized(graph, source)
    return (
        None
        if values is None
        else (
            values.detach(),
            torch.as_tensor(_value(graph, argument(weight, 1))).detach().reshape(-1),
        )
    )


def _quantized(graph: GraphModule, quantize: Node) -> Tensor | None:
    """What a quantize node makes of a stored weight; None when it quantizes something computed."""
    if quantize.target not in QUANTIZE or argument(quantize, 0).op != "get_attr":
        return None
    operator: Any = quantize.target
    values: Tensor = operator(*(_value(graph, each) for each in quantize.args))
    return values


def _activations(graph: GraphModule) -> list[dict[str, Any]]:
    nodes = [node for node in graph.graph.nodes if node.target is _OPS.quantize_per_tensor.default]
    return [
        {
            "layer": layer_of(source) or source.name,
            "scale": argument(node, 1),
            "zero_point": argument(node, 2),
        }
        for node, source in ((node, argument(node, 0)) for node in nodes)
        if source.op != "get_attr"
    ]


def _value(graph: GraphModule, value: Any) -> Any:
    return tensor_of(graph, value) if isinstance(value, Node) else value
