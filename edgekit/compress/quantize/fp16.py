"""Weights in half precision: half the size, the same accuracy, about the same speed."""

from __future__ import annotations

from edgekit.compress.method import Method, Starter
from edgekit.compress.quantize.at_export import quantized_at_export
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase

SCHEME = Scheme(weights="float16")


class QuantizeFp16(QuantizeBase):
    """Half-precision weights; inputs and outputs stay float32."""


FP16 = Method(
    section=QuantizeFp16,
    run=quantized_at_export(SCHEME),
    scheme=SCHEME,
    starter=Starter(
        does="weights in half precision: half the size, the same accuracy, about the same speed",
        stages="""
  - stage: quantize
    method: fp16
    export: fp16""",
        shrink_ratio=1.8,
    ),
)
