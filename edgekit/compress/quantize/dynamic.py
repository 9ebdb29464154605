"""int8 weights, and activations whose scales are found while running: no calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.compress.method import Method, Starter
from edgekit.compress.quantize.at_export import quantized_at_export
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase

if TYPE_CHECKING:
    from torch import nn

SCHEME = Scheme(weights="int8", activations="dynamic")


class QuantizeDynamic(QuantizeBase):
    """int8 weights, activations quantized while running. For Linear and LSTM."""


def _no_convolutions(model: nn.Module) -> tuple[str, ...]:
    from edgekit.compress.layers import CONVOLUTIONS, layers_with_weights

    layers = layers_with_weights(model)
    return tuple(name for name, layer in layers.items() if not isinstance(layer, CONVOLUTIONS))


DYNAMIC = Method(
    section=QuantizeDynamic,
    run=quantized_at_export(SCHEME),
    scheme=SCHEME,
    quantizes=_no_convolutions,
    starter=Starter(
        does=(
            "int8 weights of linear and LSTM layers, activations quantized while running: no"
            " calibration"
        ),
        stages="""
  - stage: quantize
    method: dynamic
    export: int8-dynamic""",
        shrink_ratio=1.2,
        series=True,
    ),
)
