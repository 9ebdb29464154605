"""Checks of samples and targets as a source returns them: shapes and types of the recipe's inputs,
finite values, one target for each sample. Owns what is wrong with a batch of arrays; what targets
must be is the task's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.data.source import InputSpec, times
from edgekit.errors import ModelError

SHAPE_HINT = "make the two agree"


def inputs_by_name(values: Any, specs: Mapping[str, InputSpec], where: str) -> Mapping[str, Any]:
    """The arrays by the recipe's names; a single array is the recipe's only input."""
    input_names = ", ".join(specs)
    if not isinstance(values, Mapping):
        if len(specs) > 1:
            raise ModelError(
                f"{where}: one array of inputs, but the recipe has the inputs {input_names}",
                hint="return a mapping of arrays by these names",
            )
        return dict.fromkeys(specs, values)
    if set(values) != set(specs):
        raise ModelError(
            f"{where}: inputs are named {', '.join(map(str, values))}, in the recipe {input_names}",
            hint=SHAPE_HINT,
        )
    return values


def input_called(name: str, specs: Mapping[str, InputSpec]) -> str:
    """How messages call an input: the only one needs no name."""
    return "the recipe's input" if len(specs) == 1 else f"the recipe's input {name}"


def checked_input(
    values: Any,
    spec: InputSpec,
    called: str,
    where: str,
    numbers: Sequence[int] | None = None,
) -> Tensor:
    """Samples of one input, of shape (N, …), as a split holds them. `numbers` are theirs in the
    dataset, for messages. Raises ModelError for what does not fit `spec`."""
    tensor = as_tensor(values, where, "inputs")
    if tensor.ndim == 0 or len(tensor) == 0:
        raise ModelError(f"{where}: there are no samples")
    sample = tuple(tensor.shape[1:])
    repeated = len(spec.shape) == 3 and sample == (1, *spec.shape[1:])
    if sample != spec.shape and not (repeated and spec.dtype == "float32"):
        raise ModelError(
            f"{where}: a sample is {times(sample)}, but {called} is {times(spec.shape)}",
            hint=SHAPE_HINT,
        )
    return _of_dtype(tensor, spec, called, where, numbers).contiguous()


def checked_series(
    values: Any,
    spec: InputSpec,
    called: str,
    where: str,
    numbers: Sequence[int] | None = None,
) -> Tensor:
    """Series of one input, of shape (N, steps, …), for a model with a state. As checked_input,
    whose samples are the steps here."""
    tensor = as_tensor(values, where, "inputs")
    if tensor.ndim != len(spec.shape) + 2:
        raise ModelError(
            f"{where}: a sample is {times(tuple(tensor.shape[1:]))}, but {called} is a series of"
            f" {times(spec.shape)}",
            hint="where the model has a state, a sample has an axis of steps in front",
        )
    if tensor.shape[1] == 0:
        raise ModelError(f"{where}: the series have no steps")
    of_steps = [each for each in numbers or range(len(tensor)) for _ in range(tensor.shape[1])]
    steps = checked_input(tensor.flatten(0, 1), spec, called, where, of_steps)
    return steps.unflatten(0, (-1, tensor.shape[1]))


def require_same_steps(series: Mapping[str, Tensor], where: str) -> None:
    """Raises ModelError for inputs of different numbers of steps."""
    counts = {name: values.shape[1] for name, values in series.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise ModelError(f"{where}: the inputs have different numbers of steps: {listed}")


def targets_of_steps(targets: Tensor, steps: int, where: str) -> Tensor:
    """A target for each step, of shape (N, steps, …). One number for a sample is the target of all
    of its steps."""
    if targets.ndim == 1:
        return targets[:, None].expand(-1, steps)
    if targets.shape[1] != steps:
        raise ModelError(
            f"{where}: series of {steps} steps, but targets of shape {tuple(targets.shape)}",
            hint="give one target for each step, or one number for each sample",
        )
    return targets


def _of_dtype(
    tensor: Tensor, spec: InputSpec, called: str, where: str, numbers: Sequence[int] | None
) -> Tensor:
    if spec.dtype == "float32":
        _require_pixels(tensor, spec, where)
        values = tensor if tensor.dtype == torch.uint8 else tensor.to(torch.float32)
        return _finite(values, f"{where}: sample", numbers)
    dtype = getattr(torch, spec.dtype)
    is_bool = tensor.dtype == torch.bool
    if tensor.is_floating_point() or tensor.is_complex() or is_bool != (dtype == torch.bool):
        raise ModelError(
            f"{where}: values are {_dtype_name(tensor)}, but {called} is {spec.dtype}",
            hint=SHAPE_HINT,
        )
    cast = tensor.to(dtype)
    if not torch.equal(cast.to(tensor.dtype), tensor):
        raise ModelError(f"{where}: values do not fit into {spec.dtype}, which {called} is")
    return cast


def _require_pixels(tensor: Tensor, spec: InputSpec, where: str) -> None:
    """Raises ModelError for images of integers whose range nothing tells."""
    is_integer = not (tensor.is_floating_point() or tensor.is_complex())
    if len(spec.shape) == 3 and is_integer and tensor.dtype not in (torch.uint8, torch.bool):
        raise ModelError(
            f"{where}: images of {_dtype_name(tensor)}, of which nothing says what is white",
            hint="give pixels as uint8, which are scaled from 0…255 to 0…1, or floats as the mean"
            " and std of the recipe's input expect them",
        )


def _finite(tensor: Tensor, what: str, numbers: Sequence[int] | None) -> Tensor:
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        row = int((~torch.isfinite(tensor.reshape(len(tensor), -1))).any(dim=1).nonzero()[0, 0])
        raise ModelError(f"{what} {row if numbers is None else numbers[row]} holds NaN or infinity")
    return tensor


def checked_targets(
    values: Any, samples: int, where: str, numbers: Sequence[int] | None = None
) -> Tensor | None:
    """One target for each sample, as a split holds them: whole numbers as int64, masks of bytes as
    they are, others as float32. What they must be is the task's business."""
    if values is None:
        return None
    targets = as_tensor(values, where, "targets")
    if targets.ndim == 0 or len(targets) != samples:
        raise ModelError(
            f"{where}: {samples} samples, but targets of shape {tuple(targets.shape)}",
            hint="give one target for each sample",
        )
    if targets.is_complex():
        raise ModelError(f"{where}: targets are complex numbers", hint="give real ones")
    if targets.is_floating_point():
        return _finite(targets.to(torch.float32), f"{where}: target", numbers)
    as_they_are = targets.dtype == torch.bool or (targets.dtype == torch.uint8 and targets.ndim > 1)
    return targets if as_they_are else targets.to(torch.int64)


def as_tensor(values: Any, where: str, what: str) -> Tensor:
    try:
        return torch.as_tensor(
            values if isinstance(values, Tensor) else np.asarray(values)
        ).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{where}: {what} are not one array: {str(error).splitlines()[0]}"
        ) from None


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
