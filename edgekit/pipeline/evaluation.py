"""The evaluation set in a bundle: samples of the test set in real numbers, so that a machine
without torch and without the data can measure the task's metrics.

Owns how it gets from the recipe's data into a bundle. measure/evaluation.py runs it on a
device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.directory import describe_file
from edgekit.bundle.manifest import Evaluation, EvaluationTensor
from edgekit.cache import Cache, content_key, source_digest
from edgekit.pipeline.data import data_key, input_specs, saved_test_split
from edgekit.recipe.load import LoadedRecipe
from edgekit.states import steps_in

Samples = tuple[dict[str, NDArray[Any]], NDArray[Any] | None]
"""Inputs by name, each (N, *shape), or of series (N, steps, *shape); and targets (N, …), or
(N·steps, …)."""
NARROWED = {"int64": "int32", "float64": "float32"}
"""Types of targets that are stored in half the bytes: class numbers, and real numbers that the
model computes in float32."""


def evaluation_set(loaded: LoadedRecipe, cache: Path) -> Samples | None:
    """Real inputs and targets of the first N test samples, or None when the recipe asks for none.
    From the cache, or with torch.

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
    targets = entry / "targets.npy"
    inputs = {
        name: np.load(entry / f"inputs.{index}.npy")
        for index, name in enumerate(input_specs(loaded.recipe))
    }
    return inputs, np.load(targets) if targets.exists() else None


def _save(loaded: LoadedRecipe, count: int, cache: Path, directory: Path) -> None:
    from edgekit.data.saved import open_split

    test, _ = open_split(saved_test_split(loaded, cache))
    first = slice(0, min(count, len(test)))
    for index, values in enumerate(test.at(first).values()):
        np.save(directory / f"inputs.{index}.npy", values.numpy())
    targets = test.take(first).targets
    if targets is not None:
        np.save(directory / "targets.npy", targets.numpy())


def write_evaluation(
    directory: Path,
    samples: Samples,
    outputs: Mapping[str, Mapping[str, NDArray[np.float32]]],
    *,
    series: bool = False,
) -> Evaluation:
    """Write the files of an evaluation set below a bundle's directory. `outputs` are those of each
    artifact by name, on the first test samples or more. The samples of the set are the steps of
    `series`.

    Artifacts whose outputs were not kept for all samples (dense predictions) shorten the set to
    what all have."""
    inputs, targets = samples
    steps = 1
    if series:
        steps = steps_in(inputs)
        inputs = {name: np.concatenate(values) for name, values in inputs.items()}
    arrays = [*inputs.values(), *(array for named in outputs.values() for array in named.values())]
    count = min(map(len, arrays))
    (directory / "evaluation").mkdir()

    def write(name: str, file_name: str, values: NDArray[Any]) -> EvaluationTensor:
        return _write_tensor(directory, name, f"evaluation/{file_name}.bin", values[:count])

    return Evaluation(
        samples=count,
        steps=steps,
        inputs=tuple(
            write(name, f"inputs.{index}", values)
            for index, (name, values) in enumerate(inputs.items())
        ),
        targets=None if targets is None else write("targets", "targets", targets),
        outputs={
            key: tuple(
                write(name, f"{key}.outputs.{index}", values)
                for index, (name, values) in enumerate(named.items())
            )
            for key, named in outputs.items()
        },
    )


def _write_tensor(
    directory: Path, name: str, file_name: str, values: NDArray[Any]
) -> EvaluationTensor:
    dtype = NARROWED.get(values.dtype.name, values.dtype.name)
    data = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<")).tobytes()
    (directory / file_name).write_bytes(data)
    return EvaluationTensor.model_validate(
        {
            "name": name,
            "dtype": dtype,
            "shape": values.shape[1:],
            "file": describe_file(directory / file_name, file_name),
        }
    )
