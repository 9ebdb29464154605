"""Where a measurement waits until it is in the database: one JSON file each, written atomically. A
result in the spool survives a kill, a full or unreachable database, and is stored when the results
are opened next."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL

from edgekit.errors import StoreError
from edgekit.places import data_directory
from edgekit.store.database import sqlite_file
from edgekit.whole_file import write_whole

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement


TRIAL_BYTES = 1 << 20
"""A measurement is seldom larger."""


def spool_directory(url: URL) -> Path:
    """Beside an SQLite file; for other databases in the user's data directory, one for each
    database."""
    file = sqlite_file(url)
    if file:
        return file.with_name(f"{file.name}.spool")
    name = hashlib.sha256(url.set(password=None).render_as_string().encode()).hexdigest()[:16]
    return data_directory() / "spool" / name


def write(directory: Path, measurement: Measurement) -> Path:
    """Write and flush to disk, under its final name only when whole. Raises StoreError: the
    measurement is then nowhere."""
    path = directory / f"{measurement.id}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, measurement.model_dump_json())
        _sync(directory)
    except OSError as error:
        hint = "free some space or set EDGEKIT_DB, and measure again"
        raise StoreError(
            f"{directory}: the measurement could not be kept: {error.strerror}", hint=hint
        ) from None
    return path


def require_writable(directory: Path) -> None:
    """Find out whether there is a right and space to write. Raises StoreError."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".try-") as trial:
            trial.write(bytes(TRIAL_BYTES))
            trial.flush()
    except OSError as error:
        raise StoreError(
            f"{directory}: measurements cannot be kept: {error.strerror}",
            hint="free some space or set EDGEKIT_DB",
        ) from None


def waiting(directory: Path) -> list[Path]:
    return sorted(directory.glob("[0-9a-f]*.json"))


def read(path: Path) -> Measurement | None:
    """A measurement that waits; None when another process has stored it by now. Raises StoreError
    for what is not a measurement."""
    from edgekit.measure.format1 import upgraded_measurement
    from edgekit.measure.measurement import Measurement

    try:
        return Measurement.model_validate(upgraded_measurement(json.loads(path.read_bytes())))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else "not a measurement this version of edgekit can read"
        )
        raise StoreError(
            f"{path}: {reason}",
            hint="open the results with the edgekit that wrote it, or move it away",
        ) from None


def _sync(directory: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
