"""Your own recordings, a folder of WAV files for each word or class: PATH/train/CLASS/*.wav beside
PATH/test/…, PATH/val/… and the like, or PATH/CLASS/*.wav, split by class and seed.

Owns reading a recording; the folders are in class_folders.py."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.class_folders import ClassFolders, Files
from edgekit.data.source import Outline, Request, Source
from edgekit.data.split_folders import FolderContents
from edgekit.errors import ModelError
from edgekit.installing import install_command

NAME = "wav_folder"
SUFFIXES = (".wav",)
LOUDEST = 16.0
"""A file of floats may go beyond 1 where it is too loud, but not so far."""


def load(request: Request, *, path: str, rate: int, test_fraction: float = 0.2) -> tuple[Any, ...]:
    """Streamed samples: a recording as float32 in -1…1 of the recipe's shape, for example
    (1, 16000), and the number of its class. Several channels are averaged. A longer recording
    loses as much at its end as at its start, a shorter one has zeros on both sides.

    Raises ModelError: the package soundfile is missing, no such folder, no recordings; and for a
    recording, with its name: it cannot be read, is empty, or has another `rate` (in Hz)."""
    if importlib.util.find_spec("soundfile") is None:
        raise ModelError(
            f"data {NAME}: the package soundfile, which reads recordings, is not installed",
            hint=install_command("audio"),
        )
    folders = ClassFolders(NAME, request.base / path, SUFFIXES)
    train, test, classes = folders.split(test_fraction, request)
    return (
        Recordings(train, request.shape, rate),
        Recordings(test, request.shape, rate),
        classes,
    )


@dataclass(frozen=True)
class Recordings:
    """A map-style dataset, see `load`."""

    files: Files
    shape: tuple[int, ...]
    rate: int

    @property
    def targets(self) -> list[int]:
        """The class of each recording, as torchvision's datasets have it."""
        return [label for _, label in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], int]:
        file, label = self.files[number]
        recorded = read_recording(file, self.rate)
        return centred(recorded, math.prod(self.shape)).reshape(self.shape), label


def read_recording(path: Path, rate: int) -> NDArray[np.float32]:
    """A recording as one channel, of shape (samples,). Raises ModelError, see `load`."""
    import soundfile

    try:
        values, recorded_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError, TypeError) as error:  # soundfile's own errors are RuntimeErrors
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"damaged recording {path} ({reason})", hint="remove or replace it"
        ) from None
    if recorded_rate != rate:
        raise ModelError(
            f"{path}: recorded at {recorded_rate} Hz, but data.args.rate is {rate} Hz",
            hint="resample the recording, or correct data.args.rate",
        )
    if len(values) == 0:
        raise ModelError(f"{path}: the recording is empty", hint="remove or replace it")
    if not (loudest := float(np.abs(values).max())) < LOUDEST:  # also NaN
        raise ModelError(
            f"{path}: the recording reaches {loudest:g}, and recordings are within -1…1",
            hint="a file of floats was written without scaling: divide it, or replace it",
        )
    mean: NDArray[np.float32] = values.mean(axis=1, dtype=np.float32)
    return mean


def centred(values: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """The middle of a recording, or the recording between zeros: of shape (samples,)."""
    surplus = max(0, len(values) - samples)
    middle = values[surplus // 2 : surplus // 2 + samples]
    missing = samples - len(middle)
    return np.pad(middle, (missing // 2, missing - missing // 2))


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Counts the folders of classes; a sample is a second. None without path and rate; `load` says
    so."""
    path, rate = args.get("path"), args.get("rate")
    if not isinstance(path, str) or not isinstance(rate, int):
        return None
    return Outline((1, rate), classes=len(ClassFolders(NAME, base / path, SUFFIXES).classes()))


def contents(args: Mapping[str, Any], base: Path) -> FolderContents | None:
    path = args.get("path")
    return ClassFolders(NAME, base / path, SUFFIXES).contents() if isinstance(path, str) else None


WAV_FOLDER = Source(load=load, outline=outline, contents=contents, suppliers=("soundfile",))
