"""To LiteRT: a `.tflite` in torch's own input layout.

none         the float model
ptq, qat     the converted graph, its quantize nodes left to LiteRT's converter; int8 input and output
dynamic      ai-edge-quantizer's dynamic_wi8_afp32: int8 weights, activations quantized while running
weight_only  ai-edge-quantizer's weight_only_wi8_afp32: int8 weights, dequantized for float kernels
fp16         ai-edge-quantizer's float casting: half-precision weights, computed in float32
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from edgekit.captured_graph import layer_of
from edgekit.compress.layers import kept_float
from edgekit.errors import ExportError
from edgekit.export.compact_tflite import compact
from edgekit.export.graph import Weight, first_line, trace, weights
from edgekit.export.inspect_tflite import TfliteContents, read_tflite
from edgekit.export.proof import layouts
from edgekit.patches.speed.lowering import fast_litert

FLOAT_CASTING_OPERATIONS = (
    "FULLY_CONNECTED",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "CONV_2D_TRANSPOSE",
    "EMBEDDING_LOOKUP",
)
RECIPE_DTYPES = {"dynamic": "int8", "weight_only": "int8", "fp16": "float16"}


@dataclass(frozen=True)
class Tflite:
    """A converted model: its bytes, the weights it must hold, by layer the dtype where that is not
    the graph's own, and the eager model it must agree with."""

    data: bytes
    weights: tuple[Weight, ...]
    dtypes: Mapping[str, str]
    reference: nn.Module


def to_tflite(
    model: nn.Module, example: Tensor, *, method: str | None, keep_float: Sequence[str] = ()
) -> Tflite:
    """Convert an eager model, or a prepared graph when `method` is ptq or qat, for inputs of
    `example`'s shape.

    Raises ExportError: cannot be traced or converted, an operator LiteRT's converter does not know
    (named with its module), a method that a layer cannot honour. Raises ModelError for a
    `keep_float` pattern that means no layer."""
    if method in ("ptq", "qat"):
        from edgekit.compress.quantize.pt2e import convert

        converted = convert(model, fold=False)  # type: ignore[arg-type]
        _put_weights_on_their_grid(converted)
        data, held = _convert(converted, example, int8=True)
        return Tflite(compact(data), held, {}, converted)
    model = model.eval()
    data, held = _convert(model, example, int8=False)
    if method is None:
        return Tflite(compact(data), held, {}, model)
    kept = kept_float(model, keep_float)
    dtypes = {weight.layer: RECIPE_DTYPES[method] for weight in held if weight.layer not in kept}
    quantized = _quantized(data, method, [weight for weight in held if weight.layer in kept])
    return Tflite(compact(quantized), held, dtypes, model)


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


def _convert(model: nn.Module, example: Tensor, *, int8: bool) -> tuple[bytes, tuple[Weight, ...]]:
    """The `.tflite` of a model, and the weights that its traced program holds."""
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
    held = weights(program)
    try:
        with fast_litert(model, program):
            return (
                bytes(litert_torch.convert(model, (example,), quant_config=config).model_content()),
                held,
            )
    except (
        Exception
    ) as error:  # the converter fails in many ways; an operator it does not know is the likeliest
        require_lowerings(trace(model, example))
        raise ExportError(f"LiteRT cannot convert the model: {first_line(error)}") from error


def require_lowerings(program: ExportedProgram) -> None:
    """Raises ExportError for operators of the decomposed program that the converter has no lowering
    for."""
    from litert_torch import fx_infra
    from litert_torch.backend import lowerings

    program = fx_infra.safe_run_decompositions(
        program, fx_infra.decomp.pre_lower_decomp(), can_skip=False
    )
    missing = {
        str(node.target).removesuffix(".default"): layer_of(node)
        for node in reversed(program.graph.nodes)
        if node.op == "call_function"
        and hasattr(node.target, "_schema")
        and lowerings.lookup(node.target) is None
    }
    if missing:
        found = ", ".join(
            f"{operator} in {layer or 'the model itself'}" for operator, layer in missing.items()
        )
        raise ExportError(
            f"LiteRT has no lowering for {found}",
            hint="replace the operator in the model",
            details={
                "operators": [
                    {"operator": operator, "module": layer} for operator, layer in missing.items()
                ]
            },
        )


def _quantized(data: bytes, method: str, kept: Sequence[Weight]) -> bytes:
    """Apply a recipe of ai-edge-quantizer to a float `.tflite`, except to the operators of the
    layers that are kept float."""
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    chosen = quantizer.Quantizer(bytearray(data))
    if method == "fp16":
        for operation in FLOAT_CASTING_OPERATIONS:
            chosen.add_weight_only_config(
                ".*",
                recipe.TFLOperationName(operation),
                16,
                algorithm_key=AlgorithmName.FLOAT_CASTING,
            )
    else:
        chosen.load_quantization_recipe(
            recipe.dynamic_wi8_afp32() if method == "dynamic" else recipe.weight_only_wi8_afp32()
        )
    for scope in _scopes(read_tflite(data), kept):
        chosen.update_quantization_recipe(
            scope, recipe.TFLOperationName.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    return bytes(chosen.quantize().quantized_model)


def _scopes(contents: TfliteContents, kept: Sequence[Weight]) -> Iterator[str]:
    """Patterns, each of exactly one operator's output names, for the operators that compute the
    layers of these weights.

    A weight is recognised by its values, or, when batch norm was folded into it, by the layer's
    place among the constant's names. Raises ExportError for a layer that is not recognised."""
    for weight in kept:
        values = {layout.tobytes() for layout in layouts(weight.values)}
        owned = {
            index
            for index, constant in contents.constants.items()
            if constant.values.tobytes() in values
            or (
                constant.values.size == weight.values.size
                and _named_after(constant.name, weight.layer)
            )
        }
        scopes = [";".join(op.output_names) for op in contents.operators if owned & set(op.inputs)]
        if not scopes:
            raise ExportError(
                f"keep_float: layer {weight.layer} is not recognisable in the .tflite",
                hint="keep it out of keep_float for format litert",
            )
        yield from (f"^{re.escape(scope)};?$" for scope in scopes)


def _named_after(name: str, layer: str) -> bool:
    """Whether a constant's name (locations joined by `;`, each a path of `Class_attribute`) holds
    this layer's place."""
    wanted = layer.split(".")
    for location in name.split(";"):
        parts = location.split("/")[1:]  # the first is the whole model
        if len(parts) == len(wanted) and all(
            part.endswith(f"_{attribute}") for part, attribute in zip(parts, wanted, strict=True)
        ):
            return True
    return False
