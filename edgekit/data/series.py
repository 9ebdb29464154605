"""Time series that ship with Python packages."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edgekit.data.dataset import Wanted, times
from edgekit.errors import ModelError
from edgekit.registry.factory import module_file

Series = tuple[Tensor, Tensor, Tensor, Tensor, tuple[str, ...]]


def japanese_vowels(wanted: Wanted) -> Series:
    """Nine speakers by twelve cepstral coefficients of a spoken vowel (Kudo et al. 1999): the copy
    in the package `aeon`, with its split into 270 training and 370 test series. Series have 7 to 29
    steps; zeros in front bring each to `shape[0]` steps, so that the last step is always speech.

    Raises ModelError without the package, and for a shape other than (29 or more, 12).
    """
    package = module_file("aeon", wanted.base)
    folder = Path() if package is None else package.parent / "datasets" / "data" / "JapaneseVowels"
    if package is None or not folder.is_dir():
        raise ModelError(
            "data japanese_vowels: the package aeon, which holds it, is not installed",
            hint="pip install 'edgekit[data]'",
        )
    train, train_labels = _read_ts(folder / "JapaneseVowels_TRAIN.ts")
    test, test_labels = _read_ts(folder / "JapaneseVowels_TEST.ts")
    longest, features = max(len(series) for series in train + test), train[0].shape[1]
    if len(wanted.shape) != 2 or wanted.shape[0] < longest or wanted.shape[1] != features:
        raise ModelError(
            f"data japanese_vowels: series have up to {longest}×{features} (steps × features), but"
            f" input.shape is {times(wanted.shape)}"
        )
    classes = tuple(sorted(set(train_labels)))
    numbers = [
        torch.tensor([classes.index(label) for label in labels])
        for labels in (train_labels, test_labels)
    ]
    return (
        _padded(train, wanted.shape[0]),
        numbers[0],
        _padded(test, wanted.shape[0]),
        numbers[1],
        classes,
    )


def _read_ts(path: Path) -> tuple[list[Tensor], list[str]]:
    """Series of shape (steps, features) and their labels, from the text format of the time series
    archive: features apart by `:`, the label last."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split(":") for line in lines if line and line[0] not in "#@"]
        return [
            torch.tensor([[float(v) for v in f.split(",")] for f in row[:-1]]).T for row in rows
        ], [row[-1] for row in rows]
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be read: {error}", hint="install the package aeon again"
        ) from None


def _padded(series: list[Tensor], steps: int) -> Tensor:
    return torch.stack(
        [torch.nn.functional.pad(values, (0, 0, steps - len(values), 0)) for values in series]
    )
