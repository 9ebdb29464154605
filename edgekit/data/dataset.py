"""Samples as the model sees them. Owns what a split is, splits in memory, and normalisation; splits
that are read while they are used are in streaming.py, the checks of what a source returns in
load.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from edgekit.data.source import InputSpec
from edgekit.data.targets import CheckTargets
from edgekit.states import STATELESS, States, inputs_at, steps_in

Rows = Tensor | slice
"""Which samples, by their numbers."""
"""Raises ModelError for targets of shape (samples, …) that do not suit a task."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples in the form their source has them: not normalised.

    Inputs of the dtype float32 are uint8 (pixels) or float32; images may have one channel where
    their spec has more, and normalising repeats it. `targets` are of shape (B, …), or None. Where
    the model has a state, inputs are series of shape (B, steps, …), and targets are of shape
    (B·steps, …), one for each step, sample after sample."""

    inputs: dict[str, Tensor]
    targets: Tensor | None


@runtime_checkable
class Split(Protocol):
    """Samples for training or for testing. `specs` are the model's inputs that are no states, in
    order; where it has states, a sample is a series of them."""

    @property
    def specs(self) -> Mapping[str, InputSpec]: ...

    @property
    def states(self) -> States: ...

    @property
    def labelled(self) -> bool:
        """Whether samples have targets."""
        ...

    @property
    def class_count(self) -> int:
        """How many classes the targets are numbers of; 0 where they are no class numbers."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Rows) -> Batch:
        """Some samples, read now."""
        ...

    def at(self, index: Rows) -> dict[str, Tensor]:
        """Some samples as the model takes them, each input of shape (B, *shape), or of series
        (B, steps, *shape)."""
        ...

    def batches(self, order: Iterable[Rows], *, seed: int = 0) -> Iterator[Batch]:
        """Batch after batch. What a source draws at random follows from `seed` and the place in
        the order."""
        ...

    def limited(self, limit: int | None, seed: int) -> Split:
        """The first so many samples of a shuffle by `seed`."""
        ...

    def checked(self, check: CheckTargets) -> Split:
        """The same samples, whose targets are checked: now, or as they are read."""
        ...


def normalise(inputs: Mapping[str, Tensor], specs: Mapping[str, InputSpec]) -> dict[str, Tensor]:
    """A batch's inputs as the model takes them: pixels scaled to 0…1, minus mean, over std.
    Integers that are no pixels stay as they are."""
    return {name: _normalised_steps(inputs[name], spec) for name, spec in specs.items()}


def example_call(split: Split, samples: int = 2) -> dict[str, Tensor]:
    """The first samples as one call of the model takes them: of series their first step, with
    states at their start."""
    inputs = split.at(slice(0, samples))
    if not split.states:
        return inputs
    start = split.states.start(len(next(iter(inputs.values()))), torch.zeros)
    return inputs_at(0, inputs, split.states, start)


def in_turn(samples: int, batch_size: int) -> list[slice]:
    """All samples in their order, in batches."""
    return [
        slice(start, min(start + batch_size, samples)) for start in range(0, samples, batch_size)
    ]


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """Samples in memory, or mapped from files: one tensor of shape (N, …) for each of `specs`, in
    their order; of series, inputs and targets of shape (N, steps, …). See Split and Batch."""

    inputs: dict[str, Tensor]
    targets: Tensor | None
    specs: Mapping[str, InputSpec]
    states: States = STATELESS

    @property
    def labelled(self) -> bool:
        return self.targets is not None

    @property
    def class_count(self) -> int:
        targets = by_step(self.targets, self.states)
        if targets is None or targets.ndim > 1 or targets.dtype != torch.int64:
            return 0
        return int(targets.max()) + 1

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, index: Rows) -> Batch:
        inputs = {name: values[index] for name, values in self.inputs.items()}
        targets = None if self.targets is None else self.targets[index]
        return Batch(inputs, by_step(targets, self.states))

    def at(self, index: Rows) -> dict[str, Tensor]:
        return normalise(self.take(index).inputs, self.specs)

    def batches(self, order: Iterable[Rows], *, seed: int = 0) -> Iterator[Batch]:
        return map(self.take, order)

    def limited(self, limit: int | None, seed: int) -> ArraySplit:
        if limit is None or limit >= len(self):
            return self
        chosen = shuffled(len(self), seed)[:limit]
        targets = None if self.targets is None else self.targets[chosen]
        return replace(self, inputs=self.take(chosen).inputs, targets=targets)

    def checked(self, check: CheckTargets) -> ArraySplit:
        targets = by_step(self.targets, self.states)
        if targets is not None:
            check(targets.numpy())
        return self


@dataclass(frozen=True, eq=False)
class Dataset:
    """Both splits, and the names of the classes in the order of their numbers (empty without
    classes)."""

    train: Split
    test: Split
    classes: tuple[str, ...]


def series_steps(split: Split) -> int:
    """How many samples of the task one sample of the split is: the steps of a series, else 1."""
    return steps_in(split.at(slice(0, 1))) if split.states else 1


def by_step(targets: Tensor | None, states: States) -> Tensor | None:
    """Targets as a batch has them: those of series one after the other."""
    return targets.flatten(0, 1) if states and targets is not None else targets


def _normalised_steps(samples: Tensor, spec: InputSpec) -> Tensor:
    """As `normalised`, also of series."""
    if samples.ndim < len(spec.shape) + 2:
        return normalised(samples, spec)
    return normalised(samples.flatten(0, 1), spec).unflatten(0, samples.shape[:2])


def normalised(samples: Tensor, spec: InputSpec) -> Tensor:
    """Samples of one input, of shape (B, …), as the model takes them: of shape (B, *spec.shape)."""
    if spec.dtype != "float32":
        return samples
    scale = 1 / 255 if samples.dtype == torch.uint8 else 1.0
    if spec.mean is None and spec.std is None:
        return (samples.to(torch.float32) * scale).expand(-1, *spec.shape).contiguous()
    ones = (1.0,) * spec.channels
    zeros = (0.0,) * spec.channels
    series = len(spec.shape) == 2
    layout = (spec.channels,) if series else (spec.channels, *[1] * (len(spec.shape) - 1))
    mean = torch.tensor(spec.mean or zeros).view(layout)
    std = torch.tensor(spec.std or ones).view(layout)
    return torch.addcmul(-mean / std, samples.to(torch.float32), scale / std)


def shuffled(count: int, seed: int) -> Tensor:
    """The numbers 0…count-1 in an order that follows from `seed`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
