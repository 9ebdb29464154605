"""Data in memory, as the model sees it. Owns `Split` and `Dataset`, limits, and the check that
samples fit the recipe's input; where samples come from is in image_data.py, series_data.py, or a
function of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.data import DATASETS
from edgekit.errors import ModelError
from edgekit.registry.factory import call_factory, load_factory, suggestion


@dataclass(frozen=True, eq=False)
class Split:
    """Samples for training or for testing.

    `inputs` has shape (N, …) and type uint8 (pixels) or float32; images may have one channel where
    `shape`, one sample as the model sees it, has more: `normalise` repeats it. `labels` are int64
    of shape (N,), or None. `mean` and `std` hold one value per channel (the last axis of a series,
    the first of anything else) for values in 0…1."""

    inputs: Tensor
    labels: Tensor | None
    shape: tuple[int, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def at(self, index: Tensor | slice) -> Tensor:
        """The samples at `index` as the model takes them: float32 of shape (B, *shape)."""
        return self.normalise(self.inputs[index])

    def normalise(self, samples: Tensor) -> Tensor:
        """Samples in the form of `inputs` as float32 of shape (B, *shape): pixels scaled to 0…1,
        minus mean, over std."""
        scale = 1 / 255 if samples.dtype == torch.uint8 else 1.0
        if self.mean is None and self.std is None:
            return (samples.to(torch.float32) * scale).expand(-1, *self.shape).contiguous()
        ones, zeros = (1.0,) * self._channels, (0.0,) * self._channels
        layout = (
            (self._channels,)
            if len(self.shape) == 2
            else (self._channels, *[1] * (len(self.shape) - 1))
        )
        mean = torch.tensor(self.mean or zeros).view(layout)
        std = torch.tensor(self.std or ones).view(layout)
        return torch.addcmul(-mean / std, samples.to(torch.float32), scale / std)

    @property
    def _channels(self) -> int:
        return self.shape[-1] if len(self.shape) == 2 else self.shape[0]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Both splits, and the names of the classes in the order of their labels (empty without
    labels)."""

    train: Split
    test: Split
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a built-in source is asked for besides its own arguments. `base` is what its paths are
    relative to."""

    shape: tuple[int, ...]
    seed: int
    base: Path
    train_limit: int | None = None
    test_limit: int | None = None


def load_dataset(
    name: str,
    args: Mapping[str, Any],
    *,
    shape: Sequence[int],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int,
    train_limit: int | None = None,
    test_limit: int | None = None,
    base: Path | None = None,
) -> Dataset:
    """Load both splits of a dataset into memory.

    `name` is a built-in (`edgekit.data.DATASETS`) or `package.module:factory`, where the module may
    lie in `base`, the recipe's directory (default: the working directory). Such a factory takes
    `args` and returns (train_inputs, train_labels, test_inputs, test_labels[, classes]) as arrays
    or tensors (labels may be None), or a `Dataset`. `shape` is one sample as the model sees it. A
    limit keeps the first so many samples of a shuffle by `seed`.

    Raises ModelError: unknown name, wrong arguments, missing data (with the remedy), no samples,
    samples that do not fit `shape`, NaN or infinite samples, labels that are not one whole number
    per sample."""
    wanted = Wanted(tuple(shape), seed, base or Path.cwd(), train_limit, test_limit)
    for key, values in (("mean", mean), ("std", std)):
        channels = wanted.shape[-1] if len(wanted.shape) == 2 else wanted.shape[0]
        if values is not None and len(values) != channels:
            raise ModelError(
                f"input.{key} has {len(values)} values for {channels} channels of input.shape"
                f" {times(wanted.shape)}"
            )
    normal = (None if mean is None else tuple(mean), None if std is None else tuple(std))
    train_inputs, train_labels, test_inputs, test_labels, classes = _load(name, args, wanted)
    splits = []
    for part, values, numbers in (
        ("train", train_inputs, train_labels),
        ("test", test_inputs, test_labels),
    ):
        where = f"data {name}, {part} split"
        inputs = _checked_inputs(values, wanted.shape, where)
        splits.append(
            Split(inputs, _checked_labels(numbers, len(inputs), where), wanted.shape, *normal)
        )
    names = _class_names(classes, splits, name)
    train, test = (
        _limited(split, limit, seed)
        for split, limit in zip(splits, (train_limit, test_limit), strict=True)
    )
    return Dataset(train, test, names)


def _load(
    name: str, args: Mapping[str, Any], wanted: Wanted
) -> tuple[Any, Any, Any, Any, tuple[str, ...] | None]:
    what = f"data {name}"
    if name in DATASETS:
        found = call_factory(
            load_factory(DATASETS[name], wanted.base, "data"), args, what, wanted, base=wanted.base
        )
    elif ":" in name:
        found = call_factory(load_factory(name, wanted.base, "data"), args, what, base=wanted.base)
    else:
        raise ModelError(
            f"there is no data {name!r}",
            hint=suggestion(name, DATASETS) or "or give package.module:factory",
        )
    if isinstance(found, Dataset):
        return (
            found.train.inputs,
            found.train.labels,
            found.test.inputs,
            found.test.labels,
            found.classes,
        )
    if not isinstance(found, tuple | list) or len(found) not in (4, 5):
        raise ModelError(
            f"{what}: its factory returned {type(found).__name__}",
            hint=(
                "return (train_inputs, train_labels, test_inputs, test_labels[, classes]) or an"
                " edgekit.data.dataset.Dataset"
            ),
        )
    classes = (
        None if len(found) == 4 or found[4] is None else tuple(str(label) for label in found[4])
    )
    return found[0], found[1], found[2], found[3], classes


def _checked_inputs(values: Any, shape: tuple[int, ...], where: str) -> Tensor:
    inputs = _tensor(values, where, "inputs")
    if inputs.ndim == 0 or len(inputs) == 0:
        raise ModelError(f"{where}: there are no samples")
    if inputs.dtype != torch.uint8:
        inputs = inputs.to(torch.float32)
    sample = tuple(inputs.shape[1:])
    repeated = len(shape) == 3 and sample == (1, *shape[1:])
    if sample != shape and not repeated:
        raise ModelError(
            f"{where}: a sample is {times(sample)}, but input.shape is {times(shape)}",
            hint="make the two agree",
        )
    if inputs.is_floating_point() and not torch.isfinite(inputs).all():
        row = int((~torch.isfinite(inputs.flatten(1))).any(dim=1).nonzero()[0, 0])
        raise ModelError(f"{where}: sample {row} holds NaN or infinity")
    return inputs.contiguous()


def _checked_labels(values: Any, samples: int, where: str) -> Tensor | None:
    if values is None:
        return None
    labels = _tensor(values, where, "labels")
    if labels.shape != (samples,):
        raise ModelError(
            f"{where}: {samples} samples, but labels of shape {tuple(labels.shape)}",
            hint="give one whole number per sample",
        )
    if (
        labels.is_floating_point()
        or labels.is_complex()
        or labels.dtype == torch.bool
        or int(labels.min()) < 0
    ):
        raise ModelError(
            f"{where}: labels must be class numbers from 0 on, not {labels.dtype} from"
            f" {labels.min().item()}"
        )
    return labels.to(torch.int64)


def _tensor(values: Any, where: str, what: str) -> Tensor:
    try:
        return torch.as_tensor(
            values if isinstance(values, Tensor) else np.asarray(values)
        ).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{where}: {what} are not one array: {str(error).splitlines()[0]}"
        ) from None


def _limited(split: Split, limit: int | None, seed: int) -> Split:
    if limit is None or limit >= len(split):
        return split
    chosen = shuffled(len(split), seed)[:limit]
    return Split(
        split.inputs[chosen],
        None if split.labels is None else split.labels[chosen],
        split.shape,
        split.mean,
        split.std,
    )


def shuffled(count: int, seed: int) -> Tensor:
    """The numbers 0…count-1 in an order that follows from `seed`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _class_names(
    classes: tuple[str, ...] | None, splits: Sequence[Split], name: str
) -> tuple[str, ...]:
    labels = [int(split.labels.max()) for split in splits if split.labels is not None]
    if not labels:
        return classes or ()
    if classes is None:
        return tuple(str(label) for label in range(max(labels) + 1))
    if max(labels) >= len(classes):
        raise ModelError(
            f"data {name}: label {max(labels)} has no name among {len(classes)} classes"
        )
    return classes


def times(shape: Sequence[int]) -> str:
    """A shape as messages spell it: `3×32×32`."""
    return "×".join(map(str, shape)) or "a single number"
