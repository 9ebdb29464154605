"""Japanese vowels (Kudo et al. 1999): nine speakers by twelve cepstral coefficients of a spoken
vowel. The copy in the package `aeon`, with its split into 270 training and 370 test series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.source import Outline, Request, Source, times
from edgekit.errors import ModelError
from edgekit.installing import install_command
from edgekit.registry.factory import module_file

Series = NDArray[np.float32]


def load(request: Request) -> tuple[Any, ...]:
    """Series have 7 to 29 steps; zeros in front bring each to `shape[0]` steps, so that the last
    step is always speech.

    Raises ModelError without the package, and for a shape other than (29 or more, 12)."""
    package = module_file("aeon", request.base)
    folder = Path() if package is None else package.parent / "datasets" / "data" / "JapaneseVowels"
    if package is None or not folder.is_dir():
        raise ModelError(
            "data japanese_vowels: the package aeon, which holds it, is not installed",
            hint=install_command("data"),
        )
    train, train_names = _read_ts(folder / "JapaneseVowels_TRAIN.ts")
    test, test_names = _read_ts(folder / "JapaneseVowels_TEST.ts")
    _check_shape(request.shape, [*train, *test])
    classes = tuple(sorted(set(train_names)))
    train_labels = np.array([classes.index(name) for name in train_names])
    test_labels = np.array([classes.index(name) for name in test_names])
    steps = request.shape[0]
    return _padded(train, steps), train_labels, _padded(test, steps), test_labels, classes


def _check_shape(shape: tuple[int, ...], series: Sequence[Series]) -> None:
    longest = max(map(len, series))
    features = series[0].shape[1]
    if len(shape) != 2 or shape[0] < longest or shape[1] != features:
        raise ModelError(
            f"data japanese_vowels: series have up to {longest}×{features} (steps × features), but"
            f" the recipe's input is {times(shape)}"
        )


def _read_ts(path: Path) -> tuple[list[Series], list[str]]:
    """Series of shape (steps, features) and their labels, from the text format of the time series
    archive: features apart by `:`, the label last."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split(":") for line in lines if line and line[0] not in "#@"]
        series = [
            np.array([[float(value) for value in feature.split(",")] for feature in row[:-1]]).T
            for row in rows
        ]
        return [values.astype(np.float32) for values in series], [row[-1] for row in rows]
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be read: {error}", hint="install the package aeon again"
        ) from None


def _padded(series: Sequence[Series], steps: int) -> Series:
    return np.stack([np.pad(values, ((steps - len(values), 0), (0, 0))) for values in series])


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((29, 12), classes=9)


JAPANESE_VOWELS = Source(load=load, outline=outline, suppliers=("aeon",))
