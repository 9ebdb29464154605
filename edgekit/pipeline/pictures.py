"""The pictures of a bundle: test samples, and what each variant answers.

Owns which samples and artifacts are shown, and how an input becomes something to look at. What is
drawn of outputs is the task's. Works on what the exports left in the cache, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.directory import describe_file
from edgekit.bundle.manifest import Artifact, BundleFile
from edgekit.bundle.pictures import (
    FILE,
    MAX_POINTS,
    MAX_SIDE,
    MAX_SIGNALS,
    Marks,
    Pictures,
    Pixels,
    Sample,
)
from edgekit.data.saved_arrays import SavedArrays, open_arrays
from edgekit.pipeline.data import saved_test_split
from edgekit.recipe.load import LoadedRecipe
from edgekit.tasks.drawing import Draws, counting_of, drawing_of
from edgekit.tasks.task import Outputs, load_task

MOST_SHOWN = 4
"""Artifacts that stand side by side."""
SHORTEST_SIGNAL = 16
"""Fewer numbers are no line."""


def pictures(
    loaded: LoadedRecipe, cache: Path, artifacts: Sequence[Artifact], outputs: Mapping[str, Outputs]
) -> Pictures | None:
    """What is shown of a recipe's artifacts, whose `outputs` on the first test samples are by key;
    None where the recipe asks for nothing, or its task has nothing to show.

    Raises ModelError: the data cannot be had, or a task of the recipe's own fails."""
    task = load_task(loaded.recipe.task, loaded.path.parent)
    draws, counts = drawing_of(task), counting_of(task)
    most = loaded.recipe.export.pictures
    if most == 0 or (draws is None and counts is None):
        return None
    data = open_arrays(saved_test_split(loaded, cache)).one_by_one()
    keys = shown_keys(artifacts, loaded.recipe.budget.baseline)
    count = min(len(data), *(len(next(iter(outputs[key].values()))) for key in keys))
    answers = {key: _rows(outputs[key], slice(count)) for key in keys}
    targets = None if data.targets is None else np.asarray(data.targets[:count])
    tables = {}
    if counts is not None and targets is not None:
        tables = {key: counts.counted(answers[key], targets) for key in keys}
    return Pictures(
        error_label=draws.error_label if draws else "",
        worst_of=keys[-1],
        samples=_samples(draws, data, targets, answers, most) if draws else (),
        tables={key: table for key, table in tables.items() if table},
        looked_at=count,
    )


def shown_keys(artifacts: Sequence[Artifact], baseline: str | None) -> tuple[str, ...]:
    """One artifact of each variant, the baseline first and then the last ones."""
    by_variant: dict[str, str] = {}
    for artifact in artifacts:
        by_variant.setdefault(artifact.variant, artifact.key)
    base = by_variant.pop(baseline or artifacts[0].variant)
    return (base, *list(by_variant.values())[-(MOST_SHOWN - 1) :])


def _samples(
    draws: Draws,
    data: SavedArrays,
    targets: NDArray[Any] | None,
    answers: Mapping[str, Outputs],
    most: int,
) -> tuple[Sample, ...]:
    name = _image_input(data)
    size = None if name is None else (data.specs[name].shape[1], data.specs[name].shape[2])
    if not draws.drawn(_rows(next(iter(answers.values())), slice(1)), size):
        return ()
    numbers, first = _chosen(draws, targets, answers, most)
    chosen = {key: _rows(outputs, numbers) for key, outputs in answers.items()}
    drawn = {key: draws.drawn(outputs, size) for key, outputs in chosen.items()}
    truths: Sequence[Marks | None] = [None] * len(numbers)
    errors: dict[str, NDArray[np.float64]] = {}
    if targets is not None:
        truths = draws.drawn_targets(targets[numbers])
        errors = {key: draws.errors(each, targets[numbers]) for key, each in chosen.items()}
    return tuple(
        Sample(
            number=number,
            chosen="first" if row < first else "worst",
            height=size[0] if size else 0,
            width=size[1] if size else 0,
            image=None if name is None else Pixels.of(_pixels(data.inputs[name][number])),
            signals=_signals(data, number) if name is None else (),
            truth=truths[row],
            answers={key: marks[row] for key, marks in drawn.items()},
            errors={key: float(values[row]) for key, values in errors.items()},
        )
        for row, number in enumerate(numbers)
    )


def _chosen(
    draws: Draws, targets: NDArray[Any] | None, answers: Mapping[str, Outputs], most: int
) -> tuple[list[int], int]:
    """The numbers of the samples, and how many of them are the first ones; the others are those on
    which the last artifact is most wrong, the worst first."""
    last = list(answers.values())[-1]
    count = len(next(iter(last.values())))
    if targets is None:
        return list(range(min(most, count))), most
    first = min((most + 1) // 2, count)
    worst = np.argsort(-draws.errors(last, targets), kind="stable").tolist()
    others = [number for number in worst if number >= first]
    return [*range(first), *others[: most - first]], first


def _image_input(data: SavedArrays) -> str | None:
    """The first input that is an image."""
    return next(
        (
            name
            for name, spec in data.specs.items()
            if len(spec.shape) == 3 and spec.shape[0] in (1, 3) and min(spec.shape[1:]) > 1
        ),
        None,
    )


def _signals(data: SavedArrays, number: int) -> tuple[tuple[float, ...], ...]:
    """The channels of the first input that is a series, each as a line."""
    for values in data.inputs.values():
        sample = np.asarray(values[number])
        if sample.ndim in (1, 2) and len(sample) >= SHORTEST_SIGNAL and sample.dtype.kind in "fiu":
            channels = sample.reshape(len(sample), -1).T[:MAX_SIGNALS]
            return tuple(_thinned(channel) for channel in channels)
    return ()


def _pixels(sample: NDArray[Any]) -> NDArray[np.uint8]:
    """An image of shape (channels, H, W) to look at, of shape (h, w) or (h, w, 3): where there are
    more pixels than are stored, the mean of blocks. Real numbers are stretched from black to
    white."""
    shown = np.asarray(sample, dtype=np.float64)
    if sample.dtype != np.uint8:
        low, high = shown.min(), shown.max()
        shown = (shown - low) / max(high - low, 1e-12) * 255
    step = -(-max(shown.shape[1:]) // MAX_SIDE)
    rest = [(0, -length % step) for length in shown.shape[1:]]
    padded = np.pad(shown, [(0, 0), *rest], mode="edge")
    channels, height, width = padded.shape
    blocks = padded.reshape(channels, height // step, step, width // step, step)
    small = blocks.mean((2, 4)).round().astype(np.uint8)
    return small[0] if channels == 1 else np.moveaxis(small, 0, -1)


def _thinned(signal: NDArray[Any]) -> tuple[float, ...]:
    """A line of at most so many points: the lowest and the highest of each stretch, so that peaks
    stay."""
    values = np.nan_to_num(signal.astype(np.float64))
    if len(values) <= MAX_POINTS:
        return tuple(values.tolist())
    stretches = np.array_split(values, MAX_POINTS // 2)
    return tuple(float(end) for each in stretches for end in (each.min(), each.max()))


def _rows(outputs: Outputs, rows: slice | list[int]) -> dict[str, NDArray[Any]]:
    return {name: values[rows] for name, values in outputs.items()}


def write_pictures(directory: Path, drawn: Pictures) -> BundleFile:
    """Write the file of the pictures into a bundle's directory."""
    (directory / FILE).write_text(drawn.model_dump_json(), encoding="utf-8")
    return describe_file(directory / FILE, FILE)
