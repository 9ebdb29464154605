"""A backend that a recipe names itself. Owns what becomes of the errors of its code, and of the
artifacts that it opens. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.backend import Backend, Lowered
from edgekit.bundle.manifest import RuntimeName
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import Scheme
from edgekit.registry.factory import OwnObject

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.backends.host_model import HostModel


@dataclass(frozen=True)
class OwnBackend:
    """See Backend. Whatever the user's code raises becomes an ExportError with its line."""

    backend: Backend
    own: OwnObject
    name: str
    runtime: RuntimeName
    suffix: str
    libraries: Sequence[str]

    def require(self, scheme: Scheme) -> None:
        with self.own.runs("require"):
            self.backend.require(scheme)

    def lower(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Lowered:
        with self.own.runs("lower"):
            return self.backend.lower(model, example, scheme=scheme, keep_float=keep_float)

    def open(
        self, path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
    ) -> HostModel:
        with self.own.runs("open"):
            host = self.backend.open(path, inputs=inputs, outputs=outputs, threads=threads)
            return dataclasses.replace(host, run=self.own.guarded("run", host.run))

    def predict(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Iterator[Remark]:
        predict = self.own.guarded_iterator("predict", self.backend.predict)
        return predict(model, example, scheme=scheme, keep_float=keep_float)


def own_backend(backend: Backend, own: OwnObject) -> OwnBackend:
    """A user's backend as edgekit uses it."""
    with own.runs("description"):
        return OwnBackend(
            backend, own, backend.name, backend.runtime, backend.suffix, backend.libraries
        )
