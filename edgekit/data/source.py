"""What a data source provides: the object behind a name in the table of data/__init__.py, and what
it is asked for. No torch is imported here: `recipe new`, the checks of a recipe and the cache look
at sources without it.

A source of your own is one object in a module beside the recipe, named there as
`data: {name: my_module:SCANS}`:

    def load(request, *, path):
        ...
        return train_inputs, train_targets, test_inputs, test_targets, ("whole", "broken")

    SCANS = Source(load=load, outline=lambda args, base: Outline((1, 64, 64), classes=2))

A plain function that takes the recipe's `data.args` and returns the same is a source too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.data.split_folders import FolderContents

LARGE_BYTES = 256_000_000
"""Sources that can do both read samples that take more than this while they are used, and hold
others in memory."""


@dataclass(frozen=True)
class InputSpec:
    """One named input of a model, for one sample.

    `shape` is without the batch. `dtype` is `float32`, `int32`, `int64` or `bool`. `mean` and `std`
    hold one value for each channel: the last axis of a series, the first of anything else."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def channels(self) -> int:
        return self.shape[-1] if len(self.shape) == 2 else self.shape[0]


@dataclass(frozen=True)
class Request:
    """What a source is asked for besides its own arguments.

    `inputs` are the model's inputs by name, in order. `base` is the recipe's directory: paths are
    relative to it. The limits say how many samples will be used at most; a source may load more."""

    inputs: Mapping[str, InputSpec]
    seed: int
    base: Path
    train_limit: int | None = None
    test_limit: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """One sample of the first input, for sources that know only one."""
        return next(iter(self.inputs.values())).shape


@dataclass(frozen=True)
class Outline:
    """What is known of the samples before any is loaded: the shape of one, or a shape that suits
    them; how many classes a network for them has (0: none, or not known); whether they have
    targets; and the task that these are for."""

    shape: tuple[int, ...]
    classes: int = 0
    labelled: bool = True
    task: str = "classification"


def no_outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    return None


def no_contents(args: Mapping[str, Any], base: Path) -> FolderContents | None:
    return None


def no_files(args: Mapping[str, Any]) -> Sequence[Path]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Source:
    """One entry of the table.

    `load(request, **args)` returns (train_inputs, train_targets, test_inputs, test_targets[,
    classes]) as arrays or tensors, each of shape (samples, …). Inputs are one array, or a mapping
    by the names of the recipe's inputs; targets may be None. Or it returns an
    `edgekit.data.dataset.Dataset`. For a model with a state, samples are series: inputs and targets
    are of shape (samples, steps, …). Only here may torch be imported.

    `outline(args, base)` says what the samples will be like, or None; it raises ModelError where
    `load` surely would. `contents(args, base)` says what a folder of files holds, by their names
    alone, and is asked of sources in the table. `suppliers` are the distributions whose version
    decides what is loaded. `files(args)` are files and folders that are read without an argument
    naming them. Both go into the key of the cache, for sources in the table; of a user's own, its
    Python sources do."""

    load: Callable[..., Any]
    outline: Callable[[Mapping[str, Any], Path], Outline | None] = no_outline
    contents: Callable[[Mapping[str, Any], Path], FolderContents | None] = no_contents
    suppliers: tuple[str, ...] = ()
    files: Callable[[Mapping[str, Any]], Sequence[Path]] = no_files


def with_home(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as sources get them: of those that begin with `~/`, the path that is meant."""
    return {
        name: os.path.expanduser(value)
        if isinstance(value, str) and (value == "~" or value.startswith("~/"))
        else value
        for name, value in args.items()
    }


def times(shape: Sequence[int]) -> str:
    """A shape as messages spell it: `3×32×32`."""
    return "×".join(map(str, shape)) or "a single number"
