"""What was understood of data, in one line: how many samples, of which shape, which classes and how
many of each, and what is left out. And what is odd about the values of images. Owns the words; who
shows them is the caller's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from edgekit.data.dataset import ArraySplit, Dataset, Split, normalise
from edgekit.data.source import InputSpec, times
from edgekit.data.split_folders import FolderContents, numbered, shortened
from edgekit.data.streaming import StreamedSplit

SAMPLES = 16
"""So many are looked at for their values."""
LARGEST = 30.0
"""Images that are scaled and normalised as their networks expect stay far below it."""
LARGEST_STD = 8.0
"""Of pixels in 0…1 the standard deviation is below 1, of those in 0…255 it is tens."""


def summary(data: Dataset, contents: FolderContents | None = None) -> str:
    """One line. `contents` are those of the source's folder, where it reads one."""
    first = data.train.take(slice(0, 1)).inputs
    shapes = ", ".join(f"{name} {_sample(values)}" for name, values in first.items())
    parts = [
        f"{len(data.train):,} samples for training, {len(data.test):,} for testing",
        f"each {shapes}",
    ]
    if data.classes:
        parts.append(f"classes: {', '.join(shortened(_classes(data)))}")
    if contents and contents.left_out:
        parts.append(f"left out: {', '.join(contents.left_out)}")
    return "; ".join(parts)


def value_warnings(split: Split) -> Iterator[str]:
    """What is odd about values of inputs that look like images, in the first samples."""
    samples = split.take(slice(0, SAMPLES)).inputs
    for name, values in normalise(samples, split.specs).items():
        spec, pixels = split.specs[name], samples[name].dtype == torch.uint8
        if len(spec.shape) != 3 or spec.dtype != "float32":
            continue
        if pixels and spec.std and min(spec.std) > LARGEST_STD:
            yield _scaled_twice(name, spec)
        elif not pixels and (largest := float(values.abs().max())) > LARGEST:
            yield (
                f"input {name}: values reach {largest:.4g} after mean and std; floats are taken as"
                " they are, and only uint8 pixels are scaled to 0…1"
            )


def _scaled_twice(name: str, spec: InputSpec) -> str:
    means, stds = (
        ", ".join(f"{value / 255:.3f}" for value in values) if values else "0"
        for values in (spec.mean, spec.std)
    )
    return (
        f"input {name}: mean and std are those of pixels in 0…255, but uint8 pixels are scaled to"
        f" 0…1 first: write mean: [{means}], std: [{stds}]"
    )


def _sample(values: Tensor) -> str:
    return f"{times(tuple(values.shape[1:]))} {str(values.dtype).removeprefix('torch.')}"


def _classes(data: Dataset) -> list[str]:
    """Each class with its number, where its name is another, and how many samples for training and
    for testing it has."""
    named = numbered(data.classes)
    counts = [_counts(split, len(data.classes)) for split in (data.train, data.test)]
    if not all(counts):
        return named
    return [
        f"{name} ({train:,} + {test:,})" for name, train, test in zip(named, *counts, strict=True)
    ]


def _counts(split: Split, classes: int) -> Sequence[int]:
    """How many samples of each class; nothing where that is not known without reading them all."""
    labels = _labels(split) if split.class_count else None
    if labels is None or labels.ndim != 1 or len(labels) != len(split):
        return ()
    return torch.bincount(labels, minlength=classes).tolist()


def _labels(split: Split) -> Tensor | None:
    if isinstance(split, ArraySplit):
        return split.targets
    if not isinstance(split, StreamedSplit):
        return None
    targets = getattr(split.samples, "targets", None)
    if not isinstance(targets, list) or not all(isinstance(label, int) for label in targets):
        return None
    labels = torch.tensor(targets)
    return labels if split.chosen is None else labels[split.chosen]
