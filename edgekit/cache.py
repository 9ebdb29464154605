"""The stage cache: finished work by content key, so that nothing is computed twice and a killed
build resumes after its last finished stage.

    CACHE/stages/KEY/        a checkpoint and its trace row
    CACHE/artifacts/KEY/     an exported, verified artifact
    CACHE/partial/KEY/       a stage under way (epoch checkpoints)
    CACHE/partial/KEY.lock   held while it is

An entry appears by one rename, so an entry that exists is complete. It holds the hash of each of
its files, and what is read of it is checked against these first: a damaged entry is computed anew.
A key is a hash of everything that determines the result: settings, the key of what it continues
from, fingerprints of model and data, library versions, and the source of edgekit that does the
work. No torch here: a build that is fully cached must not pay for importing it."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from edgekit.errors import BusyError, EdgekitError, ExportError
from edgekit.file_lock import try_lock
from edgekit.hashing import canonical_json, sha256_file
from edgekit.places import cache_directory

LIBRARIES = (
    "torch",
    "torchvision",
    "torchao",
    "executorch",
    "litert-torch",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "numpy",
)

FULL_BYTES = 64 << 10
"""A disk with less is full: libraries have errors of their own for that."""
HASHES = "hashes.json"
"""The file of an entry that holds the hashes of its others, by name."""


def cache_root() -> Path:
    """`EDGEKIT_CACHE`, or the user's cache directory. Raises UsageError: there is none."""
    return cache_directory()


@contextmanager
def writing_to(root: Path) -> Iterator[None]:
    """What goes wrong in the block because a cache cannot be written becomes an ExportError that
    says so, whatever a library made of it."""
    try:
        yield
    except EdgekitError:
        raise
    except Exception as error:
        reason = _unwritable(root, error)
        if not reason:
            raise
        raise ExportError(
            f"the cache {root} cannot be written: {reason}",
            hint="free some space there, or set EDGEKIT_CACHE to a directory of yours",
        ) from None


def _unwritable(root: Path, error: Exception) -> str:
    """Why a cache cannot be written; empty where an error has another reason."""
    if isinstance(error, OSError):
        in_cache = str(error.filename or "").startswith(str(root))
        if in_cache or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return error.strerror or str(error)
    place = next((place for place in (root, *root.parents) if place.is_dir()), root)
    return os.strerror(errno.ENOSPC) if shutil.disk_usage(place).free < FULL_BYTES else ""


def content_key(*parts: Any) -> str:
    """SHA-256 over the canonical JSON of `parts`."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()


@functools.cache
def source_digest(*places: str) -> str:
    """A hash of the Python sources below `edgekit/PLACE` (a file or a folder), so that changed code
    is not answered from the cache."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for place in places:
        root = package / place
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(
                str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0"
            )
    return digest.hexdigest()


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that determine a build; absent ones are left out."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


class Cache:
    """Finished entries of one kind (`stages`, `artifacts`) below a root directory. The root is made
    private to the user."""

    def __init__(self, root: Path, kind: str) -> None:
        self._root, self._entries, self._partial = root, root / kind, root / "partial"

    def get(self, key: str, *names: str) -> Path | None:
        """The entry of a key, with its files as they were put there. `names` are those that the
        caller is going to read; without any, all files are looked at.

        A damaged entry is none, nor is one that an older edgekit wrote without hashes: it is
        computed anew, and `put` replaces it."""
        entry = self._entries / key
        if not entry.is_dir():
            return None
        if _is_whole(entry, names):
            return entry
        logging.getLogger(__name__).warning("%s is damaged and is computed anew", entry)
        return None

    def _make(self) -> None:
        """The directories, on first writing: looking leaves no trace."""
        for directory in (self._root, self._entries, self._partial):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def claim(self, key: str, what: str) -> Iterator[Path]:
        """The work directory of a key, for as long as it takes; what an interrupted process left in
        it is still there.

        Raises BusyError when another process works on the same key.
        """
        self._make()
        work = self._partial / key
        with (self._partial / f"{key}.lock").open("w") as lock:
            if not try_lock(lock):
                raise BusyError(
                    f"another process is computing {what}",
                    hint="wait for it; its result will be re-used",
                )
            work.mkdir(exist_ok=True, mode=0o700)
            yield work
            (self._partial / f"{key}.lock").unlink(missing_ok=True)

    def put(self, key: str, directory: Path) -> Path:
        """Make `directory` the entry of `key` by one rename. A whole entry that is there already
        wins: its content is the same by construction."""
        self._make()
        entry = self._entries / key
        (directory / HASHES).write_bytes(canonical_json(_hashes(directory)))
        if entry.is_dir() and not _is_whole(entry):
            self._drop(entry)
        try:
            directory.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
            shutil.rmtree(directory)
        return entry

    def _drop(self, entry: Path) -> None:
        """Take an entry away at once, so that nobody meets a part of it."""
        aside = self.scratch()
        with suppress(FileNotFoundError):  # another process was first
            entry.rename(aside)
        shutil.rmtree(aside)

    def scratch(self) -> Path:
        """A fresh directory on the same file system, to be filled and given to `put`."""
        self._make()
        return Path(tempfile.mkdtemp(prefix="entry-", dir=self._partial))


def _is_whole(entry: Path, names: Sequence[str] = ()) -> bool:
    """Whether the files of these names, or all files, are those that were put there."""
    try:
        written = (entry / HASHES).read_bytes()
        if not names:
            return written == canonical_json(_hashes(entry))
        hashes = json.loads(written)
        return all(hashes[name] == sha256_file(entry / name) for name in names)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _hashes(directory: Path) -> dict[str, str]:
    """The hash of each file below a directory, but of the hashes themselves."""
    return {
        str(path.relative_to(directory)): sha256_file(path)
        for path in directory.rglob("*")
        if path.is_file() and path != directory / HASHES
    }
