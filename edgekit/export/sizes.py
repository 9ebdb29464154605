"""Artifacts whose inputs have dynamic sizes: samples in the smallest and in the largest, and
whether the artifact is its model there too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from edgekit.backends.backend import Dynamic, Lowered
from edgekit.backends.host_model import Arrays, HostModel
from edgekit.backends.tracing import FIXES_SIZES
from edgekit.bundle.manifest import DynamicSize, TensorSpec
from edgekit.data.source import times
from edgekit.errors import ExportError
from edgekit.export.verify import REFERENCE_SAMPLES, Thresholds, compare, eager_outputs, require
from edgekit.prose import first_line

Bound = Literal["min", "max"]


def sized(samples: Mapping[str, Tensor], dynamic: Dynamic, bound: Bound) -> dict[str, Tensor]:
    """Samples of shape (N, …) in the smallest or the largest sizes: cut off, or repeated, so that
    their values stay those of real samples."""
    resized = dict(samples)
    for name, sizes in dynamic.items():
        for size in sizes:
            places = torch.arange(getattr(size, bound)) % samples[name].shape[size.axis]
            resized[name] = resized[name].index_select(size.axis, places)
    return resized


def require_runs(model: nn.Module, example: Mapping[str, Tensor], dynamic: Dynamic) -> None:
    """Raises ExportError for a network, or its graph, that does not run in the smallest and the
    largest sizes."""
    bounds: tuple[Bound, ...] = ("min", "max")
    for bound in bounds:
        samples = sized(example, dynamic, bound)
        try:
            with torch.no_grad():
                model(*samples.values())
        except Exception as error:  # whatever the model's own code stumbles over
            raise ExportError(
                f"with {_shapes(samples)} the model does not run: {first_line(error)}",
                hint=FIXES_SIZES,
            ) from error


def verified_host(
    lowered: Lowered,
    host: HostModel,
    samples: Mapping[str, Tensor],
    dynamic: Dynamic,
    thresholds: Thresholds,
) -> HostModel:
    """The artifact with specs that say which sizes are dynamic, after a comparison on a few samples
    in the smallest and in the largest sizes.

    Raises ExportError: an artifact that takes less than it should, or that differs from eager
    PyTorch there."""
    _require_largest(host.inputs, dynamic)
    require_runs(lowered.reference, {name: x[:1] for name, x in samples.items()}, dynamic)
    few = {name: values[:REFERENCE_SAMPLES] for name, values in samples.items()}
    smallest = _verified(lowered, host, sized(few, dynamic, "min"), thresholds)
    largest = _verified(lowered, host, sized(few, dynamic, "max"), thresholds)
    return replace(
        host,
        inputs=tuple(_with(spec, dynamic.get(spec.name, ())) for spec in host.inputs),
        outputs=tuple(
            _with(spec, _changing(smallest[spec.name].shape, largest[spec.name].shape))
            for spec in host.outputs
        ),
    )


def _with(spec: TensorSpec, sizes: tuple[DynamicSize, ...]) -> TensorSpec:
    return spec.model_copy(update={"dynamic": sizes})


def _changing(smallest: Sequence[int], largest: Sequence[int]) -> tuple[DynamicSize, ...]:
    """The sizes of an output that follow those of the inputs."""
    pairs = enumerate(zip(smallest, largest, strict=True))
    return tuple(
        DynamicSize(axis=axis, min=low, max=high) for axis, (low, high) in pairs if low != high
    )


def _require_largest(specs: Sequence[TensorSpec], dynamic: Dynamic) -> None:
    for spec in specs:
        for size in dynamic.get(spec.name, ()):
            if spec.shape[size.axis] != size.max:
                raise ExportError(
                    f"input {spec.name}: the artifact takes at most {times(spec.shape)}, where"
                    f" {size.max} is asked for on axis {size.axis}",
                    hint=f"ask for a `max` that is {size.multiple_of} larger",
                )


def _verified(
    lowered: Lowered, host: HostModel, samples: Mapping[str, Tensor], thresholds: Thresholds
) -> Arrays:
    arrays = {name: values.contiguous().numpy() for name, values in samples.items()}
    outputs = host(arrays)
    try:
        require(compare(eager_outputs(lowered.reference, samples), outputs, None), thresholds)
    except ExportError as error:
        raise ExportError(
            f"with {_shapes(samples)}: {error.message}", hint=error.hint, details=error.details
        ) from None
    return outputs


def _shapes(samples: Mapping[str, Tensor]) -> str:
    return " and ".join(f"{name} {times(each.shape[1:])}" for name, each in samples.items())
