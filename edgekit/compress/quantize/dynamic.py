"""int8 weights, and activations whose scales are found while running: no calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgekit.compress.method import Method, Starter
from edgekit.compress.quantize.at_export import quantized_at_export
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEME = Scheme(weights="int8", activations="dynamic")


class QuantizeDynamic(QuantizeBase):
    """int8 weights, activations quantized while running. For Linear and LSTM."""


def _no_convolutions(model: nn.Module) -> tuple[str, ...]:
    from edgekit.compress.layers import CONVOLUTIONS, layers_with_weights

    layers = layers_with_weights(model)
    return tuple(name for name, layer in layers.items() if not isinstance(layer, CONVOLUTIONS))


def _lint_model(
    section: QuantizeDynamic, model: nn.Module, example: Mapping[str, Tensor]
) -> Iterator[Remark]:
    """Recurrent layers other than LSTMs stay float, at least in a `.pte`."""
    from edgekit.compress.layers import LSTMS, RECURRENT, layers_with_weights
    from edgekit.compress.patterns import matches
    from edgekit.prose import some

    names = [
        name
        for name, layer in layers_with_weights(model).items()
        if isinstance(layer, RECURRENT)
        and not isinstance(layer, LSTMS)
        and not matches(name, section.keep_float)
    ]
    if names:
        yield Remark(
            "stays-float",
            "warning",
            ("method",),
            f"{some(names)} will not be quantized: linear and LSTM layers are",
            "build it with an LSTM, or list it in keep_float",
        )


DYNAMIC = Method(
    section=QuantizeDynamic,
    run=quantized_at_export(SCHEME),
    scheme=SCHEME,
    quantizes=_no_convolutions,
    lint_model=_lint_model,
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
