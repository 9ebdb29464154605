"""What a backend provides: the object behind a name in the table of backends/__init__.py, and the
values it gives. Importing this module, or the module of a built-in backend, imports no torch.

A backend of your own is one object in a module beside the recipe, named there as
`export: {backends: [my_module:MINE]}`. It has what `Backend` describes; the functions of
`edgekit.backends.pte` and `edgekit.backends.tflite` are there to be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edgekit.bundle.manifest import Delegation, DynamicSize, RuntimeName
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import Scheme
from edgekit.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.backends.host_model import HostModel


Dynamic = Mapping[str, tuple[DynamicSize, ...]]
"""Sizes that may change, by the name of the input. Axes count the batch."""

ALL_FIXED: Dynamic = {}


@dataclass(frozen=True)
class Lowered:
    """The bytes of an artifact, and what is known of them.

    `reference` is the eager model that the artifact must agree with; `outputs` are the names of
    what it returns, in its order. `proof` is what reading the bytes again showed. `delegation` is
    None where only the runtime knows."""

    data: bytes
    reference: nn.Module
    outputs: tuple[str, ...]
    proof: dict[str, Any]
    arena_bytes: int | None = None
    delegation: Delegation | None = None


@runtime_checkable
class Backend(Protocol):
    """A way to run a model on a board.

    `name` is the short name that stands in file names where two backends share a suffix. `runtime`
    is the runtime that a board needs for its files. `suffix` ends the file names, without a dot.
    `libraries` are the modules that are imported before exports are forked, so that each is
    imported once."""

    @property
    def name(self) -> str: ...

    @property
    def runtime(self) -> RuntimeName: ...

    @property
    def suffix(self) -> str: ...

    @property
    def libraries(self) -> Sequence[str]: ...

    def require(self, scheme: Scheme) -> None:
        """Raises ExportError, with a remedy, for a scheme that the backend does not run."""
        ...

    def lower(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Lowered:
        """The artifact of an eager model, or of a prepared graph where the scheme is in the graph.

        `example` is one sample by input name, each of shape (1, *sample). Layers that match
        `keep_float` stay float.

        Raises ExportError: cannot be traced or lowered, an operator that the runtime has no kernel
        for (named with its module), a scheme that a layer cannot honour, weights that are not in
        the file. Raises ModelError: a `keep_float` pattern that means no layer."""
        ...

    def open(
        self, path: Path, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
    ) -> HostModel:
        """A file that `lower` made, loaded on this machine. `inputs` and `outputs` are the model's
        names, in the model's order. Raises ExportError when it cannot be loaded."""
        ...

    def predict(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Iterator[Remark]:
        """What `lower` would run into with a float model, without lowering it: what cannot be
        converted, and what would not run in the delegate. Raises ExportError as `lower` does."""
        ...


@runtime_checkable
class DynamicBackend(Protocol):
    """What a backend has besides, whose files can take inputs of several sizes."""

    def lower_dynamic(
        self,
        model: nn.Module,
        example: Mapping[str, Tensor],
        dynamic: Dynamic,
        *,
        scheme: Scheme,
        keep_float: Sequence[str],
    ) -> Lowered:
        """As `lower` of a backend. Raises ExportError, too, for a model that fixes a size which is
        to be dynamic."""
        ...


def require_dynamic(backend: Backend) -> DynamicBackend:
    """Raises ExportError for a backend whose files have fixed sizes."""
    if not isinstance(backend, DynamicBackend):
        raise ExportError(
            f"backend {backend.name} makes files of fixed sizes, and an input has dynamic sizes",
            hint="leave out `dynamic` of the input, or the backend in export.backends",
        )
    return backend


def described(scheme: Scheme) -> str:
    """A scheme in words, such as `int8 weights with float activations`."""
    return f"{scheme.weights} weights with {scheme.activations} activations"


def unsupported(backend: str, scheme: Scheme, runs: str) -> ExportError:
    """The error for a scheme that a backend does not run; `runs` says what it does run."""
    return ExportError(
        f"backend {backend} does not run {described(scheme)}",
        hint=f"it runs {runs}: choose another quantization method or another backend",
    )
