"""A split as files in a directory, so that other processes map it instead of loading the data
again. Owns writing them, and reading them as tensors; where the directory is, and when it is
written, is the caller's business."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgekit.data.dataset import ArraySplit, Split, in_turn
from edgekit.data.saved_arrays import INDEX, TARGETS, input_file, open_arrays
from edgekit.states import steps_in

CHUNK = 256


def save_split(split: Split, classes: Sequence[str], directory: Path) -> None:
    """Write a split and the names of its classes into an existing directory, batch after batch."""
    files: dict[str, NDArray[Any]] = {}
    start = 0
    for batch in split.batches(in_turn(len(split), CHUNK)):
        arrays = {input_file(place): part for place, part in enumerate(batch.inputs.values())}
        if batch.targets is not None:
            arrays[TARGETS] = (
                batch.targets.unflatten(0, (-1, steps_in(batch.inputs)))
                if split.states
                else batch.targets
            )
        for name, values in arrays.items():
            if name not in files:
                files[name] = _created(directory / name, len(split), values)
            files[name][start : start + len(values)] = values.numpy()
        start += len(next(iter(arrays.values())))
    index = {
        "inputs": {name: asdict(spec) for name, spec in split.specs.items()},
        "states": asdict(split.states),
        "labelled": split.labelled,
        "classes": list(classes),
    }
    (directory / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _created(file: Path, samples: int, example: Tensor) -> NDArray[Any]:
    """A file for `samples` rows like those of `example`."""
    values = example.numpy()
    return np.lib.format.open_memmap(
        file, mode="w+", dtype=values.dtype, shape=(samples, *values.shape[1:])
    )


def open_split(directory: Path) -> tuple[ArraySplit, tuple[str, ...]]:
    """The split of `save_split` and the names of its classes. The tensors are mapped from the
    files: processes share them, and must not write to them."""
    saved = open_arrays(directory)
    inputs = {name: torch.from_numpy(values) for name, values in saved.inputs.items()}
    targets = None if saved.targets is None else torch.from_numpy(saved.targets)
    return ArraySplit(inputs, targets, saved.specs, saved.states), saved.classes
