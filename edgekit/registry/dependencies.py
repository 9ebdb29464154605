"""What code depends on, for keys of the cache: the Python sources behind a name, versions of
packages, files. Owns finding and hashing them; what belongs into whose key is up to the caller.
Imports nothing that it hashes."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError
from edgekit.registry.factory import local_file, module_file

VERSIONED = ("torch", "torchvision")
"""Packages whose versions the cache key holds: their sources need no hash."""


def add(digest: Any, *parts: Any) -> None:
    """Add JSON values to a hash."""
    digest.update(json.dumps(parts, sort_keys=True).encode() + b"\0")


def add_file(digest: Any, path: Path) -> None:
    """Add a file's content to a hash. Raises ModelError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            add(digest, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def add_distributions(digest: Any, distributions: Iterable[str]) -> None:
    """Add the installed versions of distributions to a hash."""
    for distribution in distributions:
        add(digest, distribution, _version(distribution))


def add_sources(digest: Any, name: str, base: Path) -> None:
    """Add the Python sources behind `package.module:object` to a hash; nothing for a name of
    another form, which is either edgekit's own or an error that others report."""
    module_name, colon, _ = name.partition(":")
    for file in sources(module_name, base) if colon else ():
        add_file(digest, file)


def plain(args: Mapping[str, Any]) -> str:
    """Arguments as text that is equal for equal arguments."""
    return json.dumps(args, sort_keys=True, default=repr)


def files_below(place: Path) -> list[Path]:
    """The files in a folder, or the file itself; nothing for what is not there."""
    if os.path.isfile(place):  # unlike Path.is_file, no error for a text that cannot be a path
        return [place]
    if not os.path.isdir(place):
        return []
    paths = (Path(folder) / name for folder, _, names in os.walk(place) for name in names)
    return sorted(path for path in paths if path.is_file())


def sources(module_name: str, base: Path) -> list[Path]:
    """The source files of a module and of the modules it imports, directly or not, beside the
    recipe or in its own package."""
    own = module_name.partition(".")[0]
    if own in VERSIONED:
        return []
    files: set[Path] = set()
    seen: set[str] = set()
    waiting = {module_name}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        file = (
            module_file(module, base)
            if module.partition(".")[0] == own
            else local_file(module, base)
        )
        if file is None or file.suffix != ".py":
            continue
        files.add(file)
        waiting |= {module.rpartition(".")[0]} - seen - {""}  # importing a module runs its packages
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        waiting |= set(_imports(file, package)) - seen
    return sorted(files)


def _imports(file: Path, package: str) -> Iterator[str]:
    """Names of everything a source file may import: `from a import b` gives a and a.b."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # importing it will say what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".") if node.level else []
            prefix = parents[: len(parents) - node.level + 1]
            if node.module:
                prefix = [*prefix, node.module]
            if prefix:
                yield ".".join(prefix)
            yield from (".".join([*prefix, alias.name]) for alias in node.names)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
