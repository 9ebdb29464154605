"""A bundle and a database file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from tests.support.measured import make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "results.db")
