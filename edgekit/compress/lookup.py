"""From the name of a method in a recipe to the method. Imports no torch; a user's module may."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edgekit.compress import METHODS
from edgekit.compress.method import Method
from edgekit.errors import ModelError
from edgekit.registry.factory import OwnObject


def load_method(kind: str, name: str, base: Path) -> Method:
    """The method of a name for stages of a kind (`prune`, `quantize`): one of `METHODS`, or
    `package.module:OBJECT`, where the module may lie in `base`, the recipe's directory.

    Of a user's own, whatever its functions raise becomes a ModelError with the user's line; but
    `run` is left as it is, for the stage that runs it knows its own name too.

    Raises ModelError: no such method, a module that cannot be imported, an object that is none."""
    method = METHODS[kind].resolve(name, base)
    if not isinstance(method, Method):
        raise ModelError(
            f"{name} is of type {type(method).__name__}, not a method",
            hint="make it an edgekit.compress.method.Method",
        )
    if name in METHODS[kind]:
        return method
    own = OwnObject(METHODS[kind].kind, name, base)
    return dataclasses.replace(
        method,
        rebuild=method.rebuild and own.guarded("rebuild", method.rebuild),
        quantizes=own.guarded("quantizes", method.quantizes),
        preview=own.guarded("preview", method.preview),
        lint=own.guarded_iterator("lint", method.lint),
        lint_model=own.guarded_iterator("lint_model", method.lint_model),
        lint_samples=own.guarded_iterator("lint_samples", method.lint_samples),
    )
