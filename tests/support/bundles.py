"""Bundles of opaque bytes: an old one and a new one that share a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from tools.testbed.opaque_bundle import opaque_bundle

LARGE_BYTES = 3 << 20
"""More than a transport's chunk, so that an upload can be cut in the middle of a file."""


def noise(seed: str, size: int) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def write_bundle(
    directory: Path, seed: str, shared: bytes = b"", large_bytes: int = LARGE_BYTES
) -> Bundle:
    """A bundle with a large artifact made from `seed`, a small one of `shared`, and references."""
    models = {"fp32": noise(seed, large_bytes), "int8": shared or noise(f"small {seed}", 1000)}
    return opaque_bundle(
        directory,
        "opaque",
        ((variant, model, noise("inputs", 64), model[:8]) for variant, model in models.items()),
    )


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("old") / "bundle", "old", shared=b"same in both")


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("new") / "bundle", "new", shared=b"same in both")
