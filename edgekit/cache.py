"""The stage cache: finished work by content key, so that nothing is computed twice and a killed
build resumes after its last finished stage.

    CACHE/stages/KEY/        a checkpoint and its trace row
    CACHE/artifacts/KEY/     an exported, verified artifact
    CACHE/partial/KEY/       a stage under way (epoch checkpoints)
    CACHE/partial/KEY.lock   held while it is

An entry appears by one rename, so an entry that exists is complete. A key is a hash of everything
that determines the result: settings, the key of what it continues from, fingerprints of model and
data, library versions, and the source of edgekit that does the work. No torch here: a build that is
fully cached must not pay for importing it."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from edgekit.errors import BusyError
from edgekit.hashing import canonical_json

LIBRARIES = (
    "torch",
    "torchvision",
    "torchao",
    "torch-pruning",
    "executorch",
    "litert-torch",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "numpy",
)


def cache_root() -> Path:
    """`EDGEKIT_CACHE`, or the user's cache directory."""
    return Path(os.environ.get("EDGEKIT_CACHE") or platformdirs.user_cache_dir("edgekit"))


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

    def get(self, key: str) -> Path | None:
        entry = self._entries / key
        return entry if entry.is_dir() else None

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
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"another process is computing {what}",
                    hint="wait for it; its result will be re-used",
                ) from None
            work.mkdir(exist_ok=True, mode=0o700)
            yield work
            (self._partial / f"{key}.lock").unlink(missing_ok=True)

    def put(self, key: str, directory: Path) -> Path:
        """Make `directory` the entry of `key` by one rename. An entry that is there already wins:
        its content is the same by construction."""
        self._make()
        entry = self._entries / key
        try:
            directory.rename(entry)
        except OSError:
            if not entry.is_dir():
                raise
            shutil.rmtree(directory)
        return entry

    def scratch(self) -> Path:
        """A fresh directory on the same file system, to be filled and given to `put`."""
        self._make()
        return Path(tempfile.mkdtemp(prefix="entry-", dir=self._partial))
