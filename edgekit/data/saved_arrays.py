"""A split in files, as numpy maps them. Owns which files there are; they are written, and read as
tensors, by saved.py. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.source import InputSpec
from edgekit.states import State, States

INDEX = "split.json"
TARGETS = "targets.npy"


@dataclass(frozen=True, eq=False)
class SavedArrays:
    """Inputs of shape (N, …) by name in the form of their source, targets, and the names of the
    classes."""

    inputs: dict[str, NDArray[Any]]
    targets: NDArray[Any] | None
    specs: dict[str, InputSpec]
    states: States
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def one_by_one(self) -> SavedArrays:
        """The samples of series one after the other, as their outputs are; others as they are."""
        if not self.states:
            return self
        inputs = {name: _joined(values) for name, values in self.inputs.items()}
        targets = None if self.targets is None else _joined(self.targets)
        return replace(self, inputs=inputs, targets=targets)


def open_arrays(directory: Path) -> SavedArrays:
    """What edgekit.data.saved.save_split wrote. Writing to the arrays does not change the files."""
    index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
    specs = {name: _spec(**fields) for name, fields in index["inputs"].items()}
    return SavedArrays(
        inputs={name: _mapped(directory / input_file(number)) for number, name in enumerate(specs)},
        targets=_mapped(directory / TARGETS) if index["labelled"] else None,
        specs=specs,
        states=_states(**index["states"]),
        classes=tuple(index["classes"]),
    )


def input_file(number: int) -> str:
    """An input's name need not be one for a file."""
    return f"input_{number}.npy"


def _joined(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(-1, *values.shape[2:])


def _mapped(file: Path) -> NDArray[Any]:
    # Copy on write: torch wants memory it may write to, and the files stay as they are.
    mapped: NDArray[Any] = np.load(file, mmap_mode="c")
    return mapped


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
