"""Finished runtimes in the cache: a directory that appears by one rename, with a listing of its
files and their hashes. Owns that listing, whether what is there is still it, and who may write."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from edgekit.file_lock import try_lock
from edgekit.progress import Progress
from edgekit.runners.runtime import RuntimeFile, describe_file

LISTING = "files.json"
POLL_S = 0.1


def is_ready(home: Path) -> bool:
    """Whether a runtime is there, with all its files as they were listed. A damaged one is removed,
    and made anew."""
    if not home.is_dir():
        return False
    try:
        if all(
            describe_file(file.path, file.name, file.mode) == file for file in read_listing(home)
        ):
            return True
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # a damaged listing
    logging.getLogger(__name__).warning("%s is damaged and is made anew", home)
    shutil.rmtree(home)
    return False


@contextmanager
def building(home: Path, doing: str, progress: Progress) -> Iterator[Path | None]:
    """A scratch directory that becomes `home` by one rename when the block is done; None when
    another process made `home` in the meantime."""
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(f"{home}.lock", "w") as lock:
        while not try_lock(lock):
            progress(f"wait for another process that {doing}", 0, 0)
            time.sleep(POLL_S)
        if is_ready(home):
            yield None
            return
        with tempfile.TemporaryDirectory(
            prefix=f".{home.name}-", dir=home.parent, ignore_cleanup_errors=True
        ) as scratch:
            build = Path(scratch) / "build"
            build.mkdir()
            yield build
            build.rename(home)


def write_listing(build: Path) -> None:
    """List all files below a directory in it. Every one is executable, as deployment links to
    contents and one content has one mode."""
    paths = sorted(path for path in build.rglob("*") if path.is_file())
    files = [describe_file(path, path.relative_to(build).as_posix(), 0o755) for path in paths]
    (build / LISTING).write_text(
        json.dumps([asdict(file) | {"path": file.name} for file in files], indent=1)
    )


def read_listing(home: Path) -> tuple[RuntimeFile, ...]:
    return tuple(
        RuntimeFile(**entry | {"path": home / entry["path"]})
        for entry in json.loads((home / LISTING).read_text())
    )
