"""Is the data what it was when it was loaded the last time? A stage that is in the cache was
trained on samples of an earlier loading; a source that draws at random without a seed makes
whatever is compared with it wrong.

Owns a record of some samples of each split. Splits that are read while they are used are not looked
at: a training set may well be changed at random each time it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.cache import Cache, content_key, source_digest
from edgekit.data.saved_arrays import open_arrays
from edgekit.errors import ModelError
from edgekit.export.arrays_file import read_arrays, write_arrays
from edgekit.pipeline.data import data_key
from edgekit.recipe.load import LoadedRecipe

if TYPE_CHECKING:
    from edgekit.data.dataset import Split

SAMPLES = 4
"""So many of a split are compared, and all targets that are single numbers."""
TOLERANCE = 0.01
"""Of the largest value: other versions of a decoder, or another processor, round differently."""
FILE = "samples.npz"

Arrays = dict[str, NDArray[Any]]


def require_same_train(loaded: LoadedRecipe, cache: Path, train: Split) -> None:
    """Compare a training split with the one before, or remember it. Raises ModelError: it is
    another."""
    from edgekit.data.dataset import ArraySplit

    if isinstance(train, ArraySplit):
        inputs = {name: values.numpy() for name, values in train.inputs.items()}
        targets = None if train.targets is None else train.targets.numpy()
        _require_same(loaded, cache, "training", inputs, targets)


def require_same_test(loaded: LoadedRecipe, cache: Path, saved: Path) -> None:
    """The same of the test split in a directory of edgekit.data.saved."""
    arrays = open_arrays(saved)
    _require_same(loaded, cache, "test", arrays.inputs, arrays.targets)


def _require_same(
    loaded: LoadedRecipe,
    cache: Path,
    part: str,
    inputs: Mapping[str, NDArray[Any]],
    targets: NDArray[Any] | None,
) -> None:
    store = Cache(cache, "data")
    key = content_key(data_key(loaded), part, source_digest("pipeline/same_data.py"))
    samples = _some(inputs, targets)
    entry = store.get(key)
    if entry is None:
        scratch = store.scratch()
        write_arrays(scratch / FILE, samples)
        store.put(key, scratch)
        return
    if not _alike(read_arrays(entry / FILE), samples):
        raise ModelError(
            f"data {loaded.recipe.data.name}: the {part} split is not what it was when it was"
            " loaded before",
            hint="a source must give the same samples each time: give its random numbers a fixed"
            " seed",
        )


def _some(inputs: Mapping[str, NDArray[Any]], targets: NDArray[Any] | None) -> Arrays:
    """Samples from all over a split, and how many it has."""
    count = len(next(iter(inputs.values())))
    rows = np.unique(np.linspace(0, count - 1, SAMPLES).astype(int))
    some: Arrays = {f"input_{i}": values[rows] for i, values in enumerate(inputs.values())}
    if targets is not None:
        some["targets"] = np.asarray(targets if targets.ndim == 1 else targets[rows])
    return some | {"count": np.asarray(count)}


def _alike(before: Arrays, now: Arrays) -> bool:
    return before.keys() == now.keys() and all(
        before[name].shape == values.shape and _close(before[name], values)
        for name, values in now.items()
    )


def _close(before: NDArray[Any], now: NDArray[Any]) -> bool:
    if before.dtype.kind != "f" and before.dtype != np.uint8:  # neither numbers nor pixels
        return np.array_equal(before, now)
    scale = float(np.abs(before).max(initial=0))
    return bool(np.allclose(before, now, rtol=0, atol=TOLERANCE * scale, equal_nan=True))
