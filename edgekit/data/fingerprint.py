"""What data depend on outside the recipe, as a hash for the stage cache. Torch-free and quick,
since every build does this first. Data may be large: files count by path, size and time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.data import SOURCES
from edgekit.data.source import with_home
from edgekit.data.split_folders import is_stray
from edgekit.registry.dependencies import add, add_distributions, add_sources, files_below, plain


def dataset_fingerprint(name: str, args: Mapping[str, Any], base: Path) -> str:
    """Changes with the arguments, the files and folders that arguments name or that the source
    reads by itself (path, size and time of each file), the version of the packages that a built-in
    source comes from, and the Python sources of a user's own."""
    digest = hashlib.sha256()
    add(digest, "data", name, plain(args))
    paths = with_home(args).values()
    places = [base / value for value in paths if isinstance(value, str) and value]
    if name in SOURCES:
        source = SOURCES.resolve(name)
        add_distributions(digest, source.suppliers)
        places += source.files(args)
    else:
        add_sources(digest, name, base)
    for place in places:
        for file in files_below(place):
            below = file.relative_to(place)
            if name in SOURCES and any(map(is_stray, below.parts)):
                continue  # a look into the folder leaves such files behind, and changes no sample
            status = file.stat()
            add(digest, str(below), status.st_size, status.st_mtime_ns)
    return digest.hexdigest()
