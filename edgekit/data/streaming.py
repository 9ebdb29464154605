"""Samples that are read while they are used: a map-style dataset, as torch.utils.data.Dataset is,
read by torch's DataLoader with workers. Owns reading, checking and collating a batch, and which
sample is to blame for an error; what a dataset holds is its own."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from edgekit.data.checks import (
    as_tensor,
    checked_input,
    checked_series,
    checked_targets,
    input_called,
    inputs_by_name,
    require_same_steps,
    targets_of_steps,
)
from edgekit.data.dataset import Batch, Rows, normalise, shuffled
from edgekit.data.source import InputSpec
from edgekit.data.targets import CheckTargets, check_numbered
from edgekit.errors import EdgekitError, ModelError
from edgekit.registry.own_code import in_one_line, own_code
from edgekit.states import STATELESS, States, steps_in

PREFETCHED = 2
"""Batches that each worker reads ahead."""


class Samples(Protocol):
    """A map-style dataset: `dataset[i]` is (inputs, target), or inputs alone."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def is_streamed(value: Any) -> TypeGuard[Samples]:
    """Whether a value is a dataset to read from, and no array or list of samples."""
    arrays = (Tensor, np.ndarray, list, tuple, str, bytes, Mapping)
    return (
        isinstance(value, Sized) and hasattr(value, "__getitem__") and not isinstance(value, arrays)
    )


@dataclass(frozen=True, eq=False)
class StreamedSplit:
    """See Split. `where` names the split in messages; `chosen` are the samples it has of the
    dataset, None for all; `check` looks at the targets of each batch."""

    samples: Samples
    specs: Mapping[str, InputSpec]
    where: str
    labelled: bool
    class_count: int = 0
    workers: int = 0
    chosen: Tensor | None = None
    check: CheckTargets | None = None
    states: States = STATELESS

    def __len__(self) -> int:
        return len(self.samples) if self.chosen is None else len(self.chosen)

    def take(self, index: Rows) -> Batch:
        return _collated(self, _numbers(self, index), seed=0)

    def at(self, index: Rows) -> dict[str, Tensor]:
        return normalise(self.take(index).inputs, self.specs)

    def batches(self, order: Iterable[Rows], *, seed: int = 0) -> Iterator[Batch]:
        batches = [_numbers(self, rows) for rows in order]
        loader: DataLoader[Batch | EdgekitError] = DataLoader(
            _Reader(self, batches, seed),
            batch_size=None,
            shuffle=False,
            num_workers=min(self.workers, len(batches)),
            prefetch_factor=PREFETCHED if self.workers and batches else None,
            collate_fn=_unchanged,
            generator=torch.Generator().manual_seed(seed),  # the caller's draws stay as they are
        )
        for batch in alive(loader, self.where):
            if isinstance(batch, EdgekitError):
                raise batch
            yield batch

    def limited(self, limit: int | None, seed: int) -> StreamedSplit:
        if limit is None or limit >= len(self):
            return self
        return replace(self, chosen=shuffled(len(self), seed)[:limit])

    def checked(self, check: CheckTargets) -> StreamedSplit:
        return replace(self, check=check)


def streamed_split(
    samples: Samples,
    specs: Mapping[str, InputSpec],
    where: str,
    *,
    classes: int,
    workers: int,
    states: States = STATELESS,
) -> StreamedSplit:
    """A split of all samples of a dataset. The first one tells whether they have targets; `classes`
    counts where these are class numbers.

    Raises ModelError: no samples, a first sample that cannot be read or does not fit `specs`."""
    with own_code(f"{where}: its length", type(samples).__module__):
        count = len(samples)
    if count == 0:
        raise ModelError(f"{where}: there are no samples")
    plain = StreamedSplit(samples, specs, where, labelled=False, workers=workers, states=states)
    with _draws_from(0):
        _, target = _read(plain, 0)
    if target is None:
        plain.take(slice(1))
        return plain
    labelled = replace(plain, labelled=True)
    targets = labelled.take(slice(1)).targets
    of_classes = targets is not None and targets.ndim == 1 and targets.dtype == torch.int64
    return replace(labelled, class_count=classes if of_classes else 0)


@dataclass(frozen=True)
class _Reader(TorchDataset[Batch | EdgekitError]):
    """What the workers do: read one batch of the order. An error is returned, because DataLoader
    would make another of it."""

    split: StreamedSplit
    batches: list[list[int]]
    seed: int

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int) -> Batch | EdgekitError:
        try:
            return _collated(self.split, self.batches[place], self.seed + place)
        except EdgekitError as error:
            return error


def alive(loader: Iterable[Any], where: str) -> Iterator[Any]:
    """The loader's batches. Raises ModelError for a worker that was killed."""
    try:
        with _signal_handler_as_before():
            batches = iter(loader)
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _killed(where, str(error).splitlines()[0]) from None
    except (EOFError, ConnectionError, FileNotFoundError):
        # The worker is asked for the memory of a batch that it has announced.
        raise _killed(where, "it had just read a batch") from None


def _killed(where: str, what: str) -> ModelError:
    return ModelError(
        f"{where}: a process that reads samples was killed: {what}",
        hint="set data.workers: 0, or make /dev/shm larger",
    )


@contextmanager
def _signal_handler_as_before() -> Iterator[None]:
    """Within it, torch may set a handler of SIGCHLD that raises wherever the program is when a
    worker dies. The loader notices a dead worker by itself when it waits for a batch."""
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)


def _unchanged(batch: Any) -> Any:
    return batch


def _numbers(split: StreamedSplit, index: Rows) -> list[int]:
    """The numbers of samples in the dataset."""
    if isinstance(index, slice):
        index = torch.arange(len(split))[index]
    numbers = index if split.chosen is None else split.chosen[index]
    return numbers.tolist()


def _collated(split: StreamedSplit, numbers: list[int], seed: int) -> Batch:
    """Read samples, whose random numbers follow from `seed`, and check them."""
    with _draws_from(seed):
        read = [_read(split, number) for number in numbers]
    inputs = {
        name: _stacked([inputs[name] for inputs, _ in read], numbers, spec, name, split)
        for name, spec in split.specs.items()
    }
    if split.states:
        require_same_steps(inputs, split.where)
    if not split.labelled:
        return Batch(inputs, None)
    targets = _stacked_targets([target for _, target in read], numbers, split.where)
    of_targets = numbers
    if split.states:
        steps = steps_in(inputs)
        targets = targets_of_steps(targets, steps, split.where).flatten(0, 1)
        of_targets = [number for number in numbers for _ in range(steps)]
    if split.check is not None:
        check_numbered(split.check, targets.numpy(), of_targets, f"{split.where}, ")
    return Batch(inputs, targets)


@contextmanager
def _draws_from(seed: int) -> Iterator[None]:
    """Within it, random numbers follow from `seed`; after it, they go on as before."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def _read(split: StreamedSplit, number: int) -> tuple[Mapping[str, Tensor], Any]:
    """One sample: its inputs by name, and its target."""
    where = f"{split.where}, sample {number}"
    try:
        item = split.samples[number]
    except EdgekitError as error:
        raise type(error)(f"{where}: {error.message}", hint=error.hint) from None
    except Exception as error:  # a user's dataset raises what it likes
        raise ModelError(
            f"{where}: {in_one_line(error, type(split.samples).__module__)}",
            hint="the dataset could not read this sample: repair it or take it out",
        ) from error
    values, target = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
    if split.labelled and target is None:
        raise ModelError(f"{where} has no target", hint="a sample is (inputs, target)")
    named = inputs_by_name(values, split.specs, where)
    return {name: as_tensor(named[name], where, "inputs") for name in split.specs}, target


def _stacked(
    values: list[Tensor], numbers: list[int], spec: InputSpec, name: str, split: StreamedSplit
) -> Tensor:
    called = input_called(name, split.specs)
    check = checked_series if split.states else checked_input
    for number, value in zip(numbers, values, strict=True):
        if value.shape != values[0].shape or value.dtype != values[0].dtype:
            # One sample alone, so that the message names it.
            check(value[None], spec, called, f"{split.where}, sample {number}")
            raise ModelError(
                f"{split.where}, sample {number}: {value.dtype} of {tuple(value.shape)}, but"
                f" sample {numbers[0]} is {values[0].dtype} of {tuple(values[0].shape)}",
                hint="all samples need one shape and type",
            )
    return check(torch.stack(values), spec, called, split.where, numbers)


def _stacked_targets(values: list[Any], numbers: list[int], where: str) -> Tensor:
    targets = [as_tensor(value, where, "targets") for value in values]
    for number, target in zip(numbers, targets, strict=True):
        if target.shape != targets[0].shape:
            raise ModelError(
                f"{where}, sample {number}: a target of shape {tuple(target.shape)}, but sample"
                f" {numbers[0]} has {tuple(targets[0].shape)}",
                hint="targets need one shape: pad lists of boxes with the class -1",
            )
    checked = checked_targets(torch.stack(targets), len(numbers), where, numbers)
    assert checked is not None
    return checked
