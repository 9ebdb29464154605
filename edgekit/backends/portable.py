"""ExecuTorch without a delegate: a `.pte` whose operators run in plain portable kernels. Slow, and
runs wherever ExecuTorch does. Inputs and outputs stay float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.backend import ALL_FIXED, Dynamic, Lowered, unsupported
from edgekit.backends.xnnpack import XNNPACK
from edgekit.bundle.manifest import RuntimeName
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import Scheme

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.backends.host_model import HostModel

SCHEMES = (Scheme(), Scheme("int8", "dynamic"), Scheme("int8", "static", in_graph=True))


class PortableBackend:
    name = "portable"
    runtime: RuntimeName = "executorch"
    suffix = "pte"
    libraries = XNNPACK.libraries

    def require(self, scheme: Scheme) -> None:
        if scheme not in SCHEMES:
            runs = (
                "float32 weights, and int8 weights with dynamic or static activations (smaller"
                " weights beside float activations need backend xnnpack or litert)"
            )
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
        from edgekit.backends.pte.lowering import lower

        self.require(scheme)
        return lower(model, example, scheme, keep_float, partitioners=[], dynamic=dynamic)

    def open(
        self, path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
    ) -> HostModel:
        return XNNPACK.open(path, inputs=inputs, outputs=outputs, threads=threads)

    def predict(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Iterator[Remark]:
        """Nothing but refusals: every operator runs in portable kernels, as was asked for."""
        self.require(scheme)
        yield from ()


PORTABLE = PortableBackend()
