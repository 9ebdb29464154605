"""From a model to the bytes of a `.tflite` in torch's own input layout.

What a scheme becomes there:

float32           the float model
int8 in the graph the converted graph, its quantize nodes left to LiteRT's converter; int8 inputs
                  and outputs
others            the float model, its weights made smaller afterwards (weight_quantization.py)
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from edgekit.backends.backend import Lowered
from edgekit.backends.proof import prove
from edgekit.backends.tflite.compact import compact
from edgekit.backends.tflite.contents import read_tflite
from edgekit.backends.tflite.lowerings import require_lowerings
from edgekit.backends.tflite.weight_quantization import with_smaller_weights
from edgekit.backends.tracing import Weight, output_names, trace, weights
from edgekit.captured_graph import unfused_attention
from edgekit.compress.layers import kept_float
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.errors import ExportError
from edgekit.patches.speed.lowering import fast_litert
from edgekit.prose import first_line


def convert(
    model: nn.Module, example: Mapping[str, Tensor], scheme: Scheme, keep_float: Sequence[str]
) -> Lowered:
    """Convert an eager model, or a prepared graph where the scheme is in the graph, for inputs of
    `example`'s shapes.

    Raises ExportError: cannot be traced or converted, an operator that LiteRT's converter does not
    know (named with its module), a scheme that a layer cannot honour, weights that are not in the
    file. Raises ModelError for a `keep_float` pattern that means no layer."""
    if scheme.in_graph:
        from edgekit.compress.quantize import pt2e

        graph = pt2e.convert(model, fold=False)  # type: ignore[arg-type]
        _put_weights_on_their_grid(graph)
        converted = _convert(graph, example, int8=True)
        return _proved(converted, converted.data, {}, graph)
    model = model.eval()
    converted = _convert(model, example, int8=False)
    if scheme == FLOAT:
        return _proved(converted, converted.data, {}, model)
    float_layers = kept_float(model, keep_float)
    dtypes = {
        weight.layer: scheme.weights
        for weight in converted.weights
        if weight.layer not in float_layers
    }
    kept_weights = [weight for weight in converted.weights if weight.layer in float_layers]
    data = with_smaller_weights(converted.data, scheme, kept_weights)
    return _proved(converted, data, dtypes, model)


def _proved(
    converted: Converted, data: bytes, dtypes: Mapping[str, str], reference: nn.Module
) -> Lowered:
    compacted = compact(data)
    constants = list(read_tflite(compacted).constants.values())
    # LiteRT's converter leaves transposed convolutions in float, with dequantized weights.
    proof = prove(converted.weights, constants, dtypes, floats_for_integers=True)
    return Lowered(compacted, reference, converted.outputs, proof)


@dataclass(frozen=True)
class Converted:
    """What the converter wrote, and the weights and output names of the program it was given."""

    data: bytes
    weights: tuple[Weight, ...]
    outputs: tuple[str, ...]


def _put_weights_on_their_grid(graph: fx.GraphModule) -> None:
    """Replace each weight that a converted graph quantizes by the value it has after dequantizing.

    LiteRT's converter divides by the scale in another order than torch does; a weight half-way
    between two integers would round differently there, and the `.tflite` would not hold the
    integers of the `.pte`. On the grid there is nothing to round."""
    for node in graph.graph.nodes:
        if (
            not str(node.target).startswith("quantized_decomposed.quantize_per_")
            or node.args[0].op != "get_attr"
        ):
            continue
        arguments = [_attribute(graph, a) if isinstance(a, fx.Node) else a for a in node.args[1:]]
        for back in node.users:
            if str(back.target).startswith("quantized_decomposed.dequantize_per_"):
                weight = _attribute(graph, node.args[0])
                weight.data.copy_(back.target(node.target(weight.detach(), *arguments), *arguments))


def _attribute(graph: fx.GraphModule, node: fx.Node) -> Tensor:
    value: Any = functools.reduce(getattr, str(node.target).split("."), graph)
    return value


def _convert(model: nn.Module, example: Mapping[str, Tensor], *, int8: bool) -> Converted:
    """The `.tflite` of a model."""
    import litert_torch
    from litert_torch.quantize.pt2e_quantizer import (
        PT2EQuantizer,
        get_symmetric_quantization_config,
    )
    from litert_torch.quantize.quant_config import QuantConfig

    config = None
    if int8:  # the quantizer says how to read the graph's quantize nodes; nothing is quantized anew
        static = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
        config = QuantConfig(pt2e_quantizer=PT2EQuantizer().set_global(static))
    program = trace(model, example)
    graph_weights, names = weights(program), output_names(program)
    inputs = tuple(example.values())
    try:
        with fast_litert(model, program), unfused_attention():
            converted = litert_torch.convert(model, inputs, quant_config=config)
            return Converted(bytes(converted.model_content()), graph_weights, names)
    # The converter fails in many ways; an operator that it does not know is the likeliest.
    except Exception as error:
        require_lowerings(trace(model, example))
        raise ExportError(f"LiteRT cannot convert the model: {first_line(error)}") from error
