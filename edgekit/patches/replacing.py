"""Replacing one attribute of a library for the duration of a `with` block. Owns nothing else: what
is replaced, and by what, is decided by the modules of `speed/` and `correctness/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set `owner.name` to `value` while the block runs, and put the original back however the block
    ends. `owner` is a module or a class that has the attribute itself, not an inherited one."""
    original = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def are_installed(versions: Mapping[str, str]) -> bool:
    """Whether exactly these versions of these distributions are installed."""
    try:
        return all(metadata.version(name) == version for name, version in versions.items())
    except metadata.PackageNotFoundError:
        return False
