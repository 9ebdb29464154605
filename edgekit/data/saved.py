"""A split as files in a directory, so that other processes map it instead of loading the data
again. Owns the files; where the directory is, and when it is written, is the caller's business."""

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
from edgekit.data.source import InputSpec
from edgekit.states import State, States, steps_in

INDEX = "split.json"
TARGETS = "targets.npy"
CHUNK = 256


def save_split(split: Split, classes: Sequence[str], directory: Path) -> None:
    """Write a split and the names of its classes into an existing directory, batch after batch."""
    files: dict[str, NDArray[Any]] = {}
    start = 0
    for batch in split.batches(in_turn(len(split), CHUNK)):
        arrays = {_file(place): part for place, part in enumerate(batch.inputs.values())}
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
    index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
    specs = {name: _spec(**fields) for name, fields in index["inputs"].items()}
    inputs = {name: _mapped(directory / _file(number)) for number, name in enumerate(specs)}
    targets = _mapped(directory / TARGETS) if index["labelled"] else None
    return ArraySplit(inputs, targets, specs, _states(**index["states"])), tuple(index["classes"])


def _file(number: int) -> str:
    return f"input_{number}.npy"  # an input's name need not be one for a file


def _mapped(file: Path) -> Tensor:
    # Copy on write: torch wants memory it may write to, and the files stay as they are.
    return torch.from_numpy(np.load(file, mmap_mode="c"))


def _spec(
    shape: list[int], dtype: str, mean: list[float] | None, std: list[float] | None
) -> InputSpec:
    """A spec from JSON, which has no tuples."""
    return InputSpec(
        tuple(shape),
        dtype,
        None if mean is None else tuple(mean),
        None if std is None else tuple(std),
    )


def _states(by_input: dict[str, Any], order: list[str]) -> States:
    """States from JSON."""
    return States(
        {
            name: State(tuple(fields["shape"]), fields["from_output"])
            for name, fields in by_input.items()
        },
        tuple(order),
    )
