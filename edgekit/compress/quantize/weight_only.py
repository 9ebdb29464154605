"""int8 weights that are computed with in float: a smaller file, the same speed."""

from __future__ import annotations

from edgekit.compress.method import Method
from edgekit.compress.quantize.at_export import quantized_at_export
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase

SCHEME = Scheme(weights="int8")


class QuantizeWeightOnly(QuantizeBase):
    """int8 weights stored, computed in float. Smaller file, same speed."""


WEIGHT_ONLY = Method(section=QuantizeWeightOnly, run=quantized_at_export(SCHEME), scheme=SCHEME)
