"""The evaluation set in a bundle: samples of the test set in real numbers, so that a machine
without torch and without the data can measure accuracy.

Owns how it gets from the recipe's data into a bundle. Running it on a device is
measure/accuracy.py's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Evaluation, describe_file
from edgekit.cache import Cache, content_key, source_digest
from edgekit.pipeline.data import data_key, saved_test_split
from edgekit.recipe.load import LoadedRecipe

Samples = tuple[NDArray[np.float32], NDArray[np.int32] | None]


def evaluation_set(loaded: LoadedRecipe, cache: Path) -> Samples | None:
    """Real inputs (N, *shape) and labels (N,) of the first N test samples, or None when the recipe
    asks for none. From the cache, or with torch.

    Raises ModelError: the data cannot be had.
    """
    count = loaded.recipe.export.evaluation_set
    if count == 0:
        return None
    key = content_key(data_key(loaded), count, source_digest("pipeline/evaluation.py"))
    store = Cache(cache, "evaluation")
    entry = store.get(key)
    if entry is None:
        scratch = store.scratch()
        _save(loaded, count, cache, scratch)
        entry = store.put(key, scratch)
    labels = entry / "labels.npy"
    return np.load(entry / "inputs.npy"), np.load(labels) if labels.exists() else None


def _save(loaded: LoadedRecipe, count: int, cache: Path, directory: Path) -> None:
    from edgekit.data.saved import open_split

    test, _ = open_split(saved_test_split(loaded, cache))
    whole = slice(0, min(count, len(test)))
    [inputs] = test.at(whole).values()
    np.save(directory / "inputs.npy", inputs.numpy().astype(np.float32))
    if test.targets is not None:
        np.save(directory / "labels.npy", test.targets[whole].numpy().astype(np.int32))


def write_evaluation(
    directory: Path, samples: Samples, outputs: Mapping[str, NDArray[np.float32]]
) -> Evaluation:
    """Write the files of an evaluation set below a bundle's directory. `outputs` are those of each
    artifact on the first test samples or more.

    Artifacts whose outputs were not kept for all samples (dense predictions) shorten the set to
    what all have."""
    inputs, labels = samples
    count = min(len(inputs), *(len(values) for values in outputs.values()))
    (directory / "evaluation").mkdir()

    def write(name: str, values: NDArray[Any], dtype: str) -> Any:
        (directory / "evaluation" / name).write_bytes(
            np.ascontiguousarray(values[:count], dtype=dtype).tobytes()
        )
        return describe_file(directory / "evaluation" / name, f"evaluation/{name}")

    return Evaluation(
        samples=count,
        shape=tuple(inputs.shape[1:]),
        inputs=write("inputs.bin", inputs, "<f4"),
        labels=None if labels is None else write("labels.bin", labels, "<i4"),
        outputs={
            key: write(f"{key}.outputs.bin", values, "<f4") for key, values in outputs.items()
        },
    )
