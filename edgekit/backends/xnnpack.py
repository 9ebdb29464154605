"""ExecuTorch with XNNPACK: a `.pte` whose operators run in XNNPACK's kernels, and in ExecuTorch's
portable ones where XNNPACK has none. Inputs and outputs stay float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.backend import ALL_FIXED, Dynamic, Lowered, unsupported
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


class XnnpackBackend:
    name = "xnnpack"
    runtime: RuntimeName = "executorch"
    suffix = "pte"
    libraries = (
        "executorch.exir",
        "executorch.backends.xnnpack.partition.xnnpack_partitioner",
        "executorch.kernels.quantized",
        "executorch.runtime",
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
        return self.lower_dynamic(model, example, ALL_FIXED, scheme=scheme, keep_float=keep_float)

    def lower_dynamic(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        dynamic: Dynamic,
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Lowered:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        from edgekit.backends.pte.lowering import lower

        self.require(scheme)
        partitioners = [XnnpackPartitioner()]
        return lower(model, example, scheme, keep_float, partitioners=partitioners, dynamic=dynamic)

    def open(
        self, path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
    ) -> HostModel:
        from edgekit.backends.pte.host import open_pte

        return open_pte(path, inputs=inputs, outputs=outputs, threads=threads)

    def predict(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Iterator[Remark]:
        from edgekit.backends.pte.prediction import predict_xnnpack

        self.require(scheme)
        yield from predict_xnnpack(model, example, scheme, keep_float)


XNNPACK = XnnpackBackend()
