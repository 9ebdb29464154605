"""LiteRT: a `.tflite` in torch's own input layout, run by LiteRT with its XNNPACK delegate. Inputs
and outputs are int8 where activations are quantized with fixed scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.backend import Lowered, unsupported
from edgekit.bundle.manifest import RuntimeName
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import Scheme

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.backends.host_model import HostModel

SCHEMES = (
    Scheme(),
    Scheme("float16"),
    Scheme("int8"),
    Scheme("int8", "dynamic"),
    Scheme("int8", "static", in_graph=True),
)


class LitertBackend:
    name = "litert"
    runtime: RuntimeName = "litert"
    suffix = "tflite"
    libraries = (
        "litert_torch",
        "litert_torch.quantize.pt2e_quantizer",
        "ai_edge_litert.interpreter",
    )

    def require(self, scheme: Scheme) -> None:
        if scheme not in SCHEMES:
            runs = "float32, float16 and int8 weights, and int8 with dynamic or static activations"
            raise unsupported(self.name, scheme, runs)

    def lower(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Lowered:
        from edgekit.backends.tflite.conversion import convert

        self.require(scheme)
        return convert(model, example, scheme, keep_float)

    def open(
        self, path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
    ) -> HostModel:
        from edgekit.backends.tflite.host import open_tflite

        return open_tflite(path, inputs=inputs, outputs=outputs, threads=threads)

    def predict(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Iterator[Remark]:
        from edgekit.backends.tflite.lowerings import require_float_lowerings

        self.require(scheme)
        require_float_lowerings(model, example)
        yield from ()


LITERT = LitertBackend()
