"""Smaller weights in a float `.tflite`, by recipes of ai-edge-quantizer.

int8, dynamic activations     dynamic_wi8_afp32: activations are quantized while running
int8 beside float activations weight_only_wi8_afp32: dequantized for float kernels
float16                       float casting: computed in float32"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edgekit.backends.proof import layouts
from edgekit.backends.tflite.contents import TfliteContents, read_tflite
from edgekit.backends.tracing import Weight
from edgekit.compress.scheme import Scheme
from edgekit.errors import ExportError

FLOAT_CASTING_OPERATIONS = (
    "FULLY_CONNECTED",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "CONV_2D_TRANSPOSE",
    "EMBEDDING_LOOKUP",
)


def with_smaller_weights(data: bytes, scheme: Scheme, float_weights: Sequence[Weight]) -> bytes:
    """Apply a recipe of ai-edge-quantizer to a float `.tflite`, except to the operators of the
    layers that are kept float."""
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    chosen = quantizer.Quantizer(bytearray(data))
    if scheme.weights == "float16":
        for operation in FLOAT_CASTING_OPERATIONS:
            chosen.add_weight_only_config(
                ".*",
                recipe.TFLOperationName(operation),
                16,
                algorithm_key=AlgorithmName.FLOAT_CASTING,
            )
    else:
        dynamic = scheme.activations == "dynamic"
        chosen.load_quantization_recipe(
            recipe.dynamic_wi8_afp32() if dynamic else recipe.weight_only_wi8_afp32()
        )
    for scope in _scopes(read_tflite(data), float_weights):
        chosen.update_quantization_recipe(
            scope, recipe.TFLOperationName.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    return bytes(chosen.quantize().quantized_model)


def _scopes(contents: TfliteContents, float_weights: Sequence[Weight]) -> Iterator[str]:
    """Patterns, each of exactly one operator's output names, for the operators that compute the
    layers of these weights.

    A weight is recognised by its values, or, when batch norm was folded into it, by the layer's
    place among the constant's names. Raises ExportError for a layer that is not recognised."""
    for weight in float_weights:
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
                hint="keep it out of keep_float for backend litert",
            )
        yield from (f"^{re.escape(scope)};?$" for scope in scopes)


def _named_after(name: str, layer: str) -> bool:
    """Whether a constant's name (locations joined by `;`, each a path of `Class_attribute`) holds
    this layer's place."""
    attributes = layer.split(".")
    for location in name.split(";"):
        parts = location.split("/")[1:]  # the first is the whole model
        if len(parts) == len(attributes) and all(
            part.endswith(f"_{attribute}")
            for part, attribute in zip(parts, attributes, strict=True)
        ):
            return True
    return False
