"""From the names of a recipe to backends, and to the names of the files they make. Imports no
torch."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgekit.backends import BACKENDS
from edgekit.backends.backend import Backend
from edgekit.backends.own import own_backend
from edgekit.compress.scheme import Scheme
from edgekit.errors import ExportError, ModelError
from edgekit.hashing import canonical_json, sha256_file
from edgekit.registry.dependencies import sources
from edgekit.registry.factory import OwnObject

SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def load_backend(name: str, base: Path | None = None) -> Backend:
    """The backend of a name: one of `BACKENDS`, or `package.module:OBJECT`.

    `base` is the recipe's directory (default: the working directory): a user's own module may lie
    in it.

    Raises ModelError: no such backend, a module that cannot be imported, an object that is none.

    >>> load_backend("litert").suffix
    'tflite'
    """
    backend = BACKENDS.resolve(name, base)
    if not isinstance(backend, Backend):
        raise ModelError(
            f"backend {name!r}: a {type(backend).__name__}, which is no backend",
            hint="a backend has what edgekit.backends.backend.Backend describes",
        )
    if name not in BACKENDS:
        backend = own_backend(backend, OwnObject("backend", name, base or Path.cwd(), ExportError))
    for word in (backend.name, backend.suffix):
        if not SHORT_NAME.fullmatch(word):
            raise ModelError(
                f"backend {name!r}: {word!r} cannot stand in a file name",
                hint="use letters, digits, - and _",
            )
    return backend


def runs(backend: Backend, scheme: Scheme) -> bool:
    """Whether a backend runs a scheme."""
    try:
        backend.require(scheme)
    except ExportError:
        return False
    return True


def file_names(variant: str, backends: Sequence[Backend]) -> tuple[str, ...]:
    """The name of a variant's file for each of a recipe's backends: `VARIANT.SUFFIX`, and
    `VARIANT.BACKEND.SUFFIX` where another backend has the same suffix.

    >>> file_names("int8", [load_backend("xnnpack"), load_backend("litert")])
    ('int8.pte', 'int8.tflite')
    >>> file_names("int8", [load_backend("xnnpack"), load_backend("portable")])
    ('int8.xnnpack.pte', 'int8.portable.pte')
    """
    sharing = Counter(backend.suffix for backend in backends)
    return tuple(
        f"{variant}.{backend.suffix}"
        if sharing[backend.suffix] == 1
        else f"{variant}.{backend.name}.{backend.suffix}"
        for backend in backends
    )


def backend_fingerprint(name: str, base: Path) -> str:
    """Changes with the backend, and with the sources of a user's own. The built-in ones are hashed
    with edgekit's own source."""
    files = [] if name in BACKENDS else sources(name.partition(":")[0], base)
    return hashlib.sha256(canonical_json([name, *map(sha256_file, files)])).hexdigest()
