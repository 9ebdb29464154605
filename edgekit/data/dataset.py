"""Samples in memory, as the model sees them. Owns splits and their normalisation; where samples
come from, and the checks of them, are in load.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgekit.data.source import InputSpec


@dataclass(frozen=True, eq=False)
class Split:
    """Samples for training or for testing.

    `inputs` holds one tensor of shape (N, …) for each of `specs`, in the order of the model's
    inputs. Inputs of the dtype float32 are uint8 (pixels) or float32; images may have one channel
    where their spec has more, and `normalise` repeats it. `targets` are of shape (N, …), or None;
    what they mean is the task's."""

    inputs: dict[str, Tensor]
    targets: Tensor | None
    specs: Mapping[str, InputSpec]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def at(self, index: Tensor | slice) -> dict[str, Tensor]:
        """The samples at `index` as the model takes them, each input of shape (B, *shape)."""
        return self.normalise(self.rows(index))

    def rows(self, index: Tensor | slice) -> dict[str, Tensor]:
        """The samples at `index` in the form of `inputs`: not normalised."""
        return {name: values[index] for name, values in self.inputs.items()}

    def normalise(self, samples: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Samples in the form of `inputs` as the model takes them: pixels scaled to 0…1, minus
        mean, over std. Integers that are no pixels stay as they are."""
        return {name: normalised(samples[name], spec) for name, spec in self.specs.items()}

    def limited(self, limit: int | None, seed: int) -> Split:
        """The first so many samples of a shuffle by `seed`."""
        if limit is None or limit >= len(self):
            return self
        chosen = shuffled(len(self), seed)[:limit]
        targets = None if self.targets is None else self.targets[chosen]
        return replace(self, inputs=self.rows(chosen), targets=targets)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Both splits, and the names of the classes in the order of their numbers (empty without
    classes)."""

    train: Split
    test: Split
    classes: tuple[str, ...]


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
