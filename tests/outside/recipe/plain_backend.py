"""A backend from outside edgekit: ExecuTorch without any delegate, for float models only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.backend import Lowered, unsupported
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import FLOAT, Scheme

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.backends.host_model import HostModel


class Plain:
    name = "plain"
    runtime = "executorch"
    suffix = "pte"
    libraries = ("executorch.exir", "executorch.runtime")

    def require(self, scheme: Scheme) -> None:
        if scheme != FLOAT:
            raise unsupported(self.name, scheme, "float models")

    def lower(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Lowered:
        from edgekit.backends.pte.lowering import lower

        self.require(scheme)
        return lower(model, example, scheme, keep_float, partitioners=[])

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
        self.require(scheme)
        yield from ()


PLAIN = Plain()
