"""How an artifact appears: staged beside its place, seen on the disk, then renamed. Knows no torch
and no formats."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STAGING = ".staging-"


@contextmanager
def staging(output: Path) -> Iterator[Path]:
    """A directory in `output` for unfinished files, gone when the context is left."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=output) as directory:
        yield Path(directory)


def write(path: Path, data: bytes) -> None:
    """Write a file and see it on the disk."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def publish(staged: Path, output: Path, names: Sequence[str]) -> None:
    """Move finished files to their names, one rename each, in this order."""
    for name in names:
        (output / name).parent.mkdir(exist_ok=True)
        (staged / name).replace(output / name)
    directory = os.open(output, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def clear_staging(output: Path) -> None:
    """Remove what a killed export left behind."""
    for leftover in output.glob(f"{STAGING}*"):
        shutil.rmtree(leftover, ignore_errors=True)
