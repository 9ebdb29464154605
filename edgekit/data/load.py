"""From the name of a data source to a dataset in memory. Owns calling the source, and every check
of what it returns: the shapes and types of the recipe's inputs, and one target for each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.data import SOURCES
from edgekit.data.dataset import Dataset, Split
from edgekit.data.source import InputSpec, Request, Source, times
from edgekit.errors import ModelError
from edgekit.registry.factory import call_factory

SHAPE_HINT = "make the two agree"
RETURNS = (
    "return (train_inputs, train_targets, test_inputs, test_targets[, classes]) or an"
    " edgekit.data.dataset.Dataset"
)


def load_dataset(
    name: str,
    args: Mapping[str, Any],
    *,
    inputs: Mapping[str, InputSpec],
    seed: int,
    train_limit: int | None = None,
    test_limit: int | None = None,
    base: Path | None = None,
) -> Dataset:
    """Load both splits of a dataset into memory.

    `name` is a source of `edgekit.data.SOURCES`, or `package.module:object`, where the module may
    lie in `base`, the recipe's directory (default: the working directory): a `Source`, or a
    function that takes `args` and returns (train_inputs, train_targets, test_inputs, test_targets[,
    classes]) as arrays or tensors, or a `Dataset`. Inputs are one array, or a mapping by the names
    of `inputs`; targets may be None. A limit keeps the first so many samples of a shuffle by
    `seed`.

    Raises ModelError: unknown name, wrong arguments, missing data (with the remedy), no samples,
    samples that do not fit `inputs`, NaN or infinite values, not one target for each sample."""
    request = Request(inputs, seed, base or Path.cwd(), train_limit, test_limit)
    _check_specs(inputs)
    train_arrays, test_arrays, classes = _arrays(_call(name, args, request), name)
    train = _split(*train_arrays, inputs, f"data {name}, train split")
    test = _split(*test_arrays, inputs, f"data {name}, test split")
    names = _class_names(classes, (train, test), name)
    return Dataset(train.limited(train_limit, seed), test.limited(test_limit, seed), names)


def _check_specs(inputs: Mapping[str, InputSpec]) -> None:
    for name, spec in inputs.items():
        for key, values in (("mean", spec.mean), ("std", spec.std)):
            if values is None:
                continue
            if spec.dtype != "float32":
                raise ModelError(f"input {name}: {key} is for float32, and it is {spec.dtype}")
            if len(values) != spec.channels:
                raise ModelError(
                    f"input {name}: {key} has {len(values)} values for {spec.channels} channels of"
                    f" {times(spec.shape)}"
                )


def _call(name: str, args: Mapping[str, Any], request: Request) -> Any:
    """What the source returns, as it is."""
    source = SOURCES.resolve(name, request.base)
    what = f"data {name}"
    if isinstance(source, Source):
        return call_factory(source.load, args, what, request, base=request.base)
    if callable(source):
        return call_factory(source, args, what, base=request.base)
    raise ModelError(f"{what}: a {type(source).__name__}, neither a Source nor a function")


Arrays = tuple[Any, Any]
"""Inputs and targets of one split, as a source returns them."""


def _arrays(returned: Any, name: str) -> tuple[Arrays, Arrays, tuple[str, ...] | None]:
    """The two splits, and the classes where the source names them."""
    if isinstance(returned, Dataset):
        train = returned.train
        test = returned.test
        return (train.inputs, train.targets), (test.inputs, test.targets), returned.classes
    if not isinstance(returned, tuple | list) or len(returned) not in (4, 5):
        raise ModelError(
            f"data {name}: its factory returned {type(returned).__name__}", hint=RETURNS
        )
    named = returned[4] if len(returned) == 5 else None
    classes = None if named is None else tuple(str(label) for label in named)
    return (returned[0], returned[1]), (returned[2], returned[3]), classes


def _split(values: Any, targets: Any, specs: Mapping[str, InputSpec], where: str) -> Split:
    arrays = _by_name(values, specs, where)
    inputs = {
        name: _checked_input(arrays[name], spec, _input_called(name, specs), where)
        for name, spec in specs.items()
    }
    counts = {name: len(tensor) for name, tensor in inputs.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise ModelError(f"{where}: the inputs are not one for each sample: {listed}")
    samples = next(iter(counts.values()))
    return Split(inputs, _checked_targets(targets, samples, where), specs)


def _by_name(values: Any, specs: Mapping[str, InputSpec], where: str) -> Mapping[str, Any]:
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


def _input_called(name: str, specs: Mapping[str, InputSpec]) -> str:
    """How messages call an input: the only one needs no name."""
    return "the recipe's input" if len(specs) == 1 else f"the recipe's input {name}"


def _checked_input(values: Any, spec: InputSpec, called: str, where: str) -> Tensor:
    tensor = _tensor(values, where, "inputs")
    if tensor.ndim == 0 or len(tensor) == 0:
        raise ModelError(f"{where}: there are no samples")
    sample = tuple(tensor.shape[1:])
    repeated = len(spec.shape) == 3 and sample == (1, *spec.shape[1:])
    if sample != spec.shape and not (repeated and spec.dtype == "float32"):
        raise ModelError(
            f"{where}: a sample is {times(sample)}, but {called} is {times(spec.shape)}",
            hint=SHAPE_HINT,
        )
    return _of_dtype(tensor, spec, called, where).contiguous()


def _of_dtype(tensor: Tensor, spec: InputSpec, called: str, where: str) -> Tensor:
    if spec.dtype == "float32":
        return _finite(tensor if tensor.dtype == torch.uint8 else tensor.to(torch.float32), where)
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


def _finite(tensor: Tensor, where: str, what: str = "sample") -> Tensor:
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        row = int((~torch.isfinite(tensor.reshape(len(tensor), -1))).any(dim=1).nonzero()[0, 0])
        raise ModelError(f"{where}: {what} {row} holds NaN or infinity")
    return tensor


def _checked_targets(values: Any, samples: int, where: str) -> Tensor | None:
    """One target for each sample: whole numbers as int64, others as float32. What they must be is
    the task's business."""
    if values is None:
        return None
    targets = _tensor(values, where, "targets")
    if targets.ndim == 0 or len(targets) != samples:
        raise ModelError(
            f"{where}: {samples} samples, but targets of shape {tuple(targets.shape)}",
            hint="give one target for each sample",
        )
    if targets.is_complex():
        raise ModelError(f"{where}: targets are complex numbers", hint="give real ones")
    if targets.is_floating_point():
        return _finite(targets.to(torch.float32), where, "target")
    return targets if targets.dtype == torch.bool else targets.to(torch.int64)


def _tensor(values: Any, where: str, what: str) -> Tensor:
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


def _class_names(
    classes: tuple[str, ...] | None, splits: Sequence[Split], name: str
) -> tuple[str, ...]:
    """The names of the classes; of class numbers without names, the numbers."""
    targets = [split.targets for split in splits if split.targets is not None]
    if not targets or any(part.ndim > 1 or part.dtype != torch.int64 for part in targets):
        return classes or ()
    largest = max(int(part.max()) for part in targets)
    if classes is None:
        return tuple(str(number) for number in range(largest + 1))
    if largest >= len(classes):
        raise ModelError(f"data {name}: label {largest} has no name among {len(classes)} classes")
    return classes
