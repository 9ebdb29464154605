"""The schemes of the built-in quantization methods, as tests call them."""

from __future__ import annotations

from edgekit.compress.scheme import Scheme

INT8_IN_GRAPH = Scheme("int8", "static", in_graph=True)
SCHEMES = {
    "fp16": Scheme("float16"),
    "weight_only": Scheme("int8"),
    "dynamic": Scheme("int8", "dynamic"),
    "ptq": INT8_IN_GRAPH,
    "qat": INT8_IN_GRAPH,
}
