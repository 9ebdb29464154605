"""Sizes that a user chooses for the inputs of a model whose sizes are dynamic. Owns the check
against what the file allows; what it allows is read in model_file.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.bundle.manifest import TensorSpec
from edgekit.data.source import times
from edgekit.errors import UsageError


def with_sizes(
    specs: Sequence[TensorSpec], shapes: Mapping[str, Sequence[int]]
) -> tuple[TensorSpec, ...]:
    """Inputs with the shapes that are given by their names; the others as they are.

    Raises UsageError: no input of a name, another number of sizes, a size that is fixed or out of
    bounds."""
    names = [spec.name for spec in specs]
    for name in shapes:
        if name not in names:
            raise UsageError(f"it has no input {name!r}", hint=f"its inputs: {_listed(specs)}")
    return tuple(
        _with_shape(spec, tuple(shapes[spec.name])) if spec.name in shapes else spec
        for spec in specs
    )


def allowed(spec: TensorSpec) -> str:
    """The shapes that an input can have, such as `1×3×(1 to 96)×(1 to 128)`."""
    dynamic = {size.axis: size for size in spec.dynamic}
    sizes = [
        _range(dynamic[axis].min, dynamic[axis].max) if axis in dynamic else str(size)
        for axis, size in enumerate(spec.shape)
    ]
    return "×".join(sizes) or times(())


def _range(least: int, most: int | None) -> str:
    return f"({least} or more)" if most is None else f"({least} to {most})"


def _with_shape(spec: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
    dynamic = {size.axis: size for size in spec.dynamic}
    fits = len(shape) == len(spec.shape) and all(
        dynamic[axis].min <= size <= (dynamic[axis].max or size) if axis in dynamic else size == own
        for axis, (size, own) in enumerate(zip(shape, spec.shape, strict=True))
    )
    if not fits:
        raise UsageError(
            f"input {spec.name} cannot have the shape {times(shape)}",
            hint=f"it takes {allowed(spec)}",
        )
    return spec.model_copy(update={"shape": shape})


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} ({allowed(spec)})" for spec in specs)
