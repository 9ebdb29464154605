"""The table of families.py: what builds goes on to build, and a refusal says what it said. What is
not in the table has not been run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.families import SIZES, cells, result, table

pytestmark = [pytest.mark.torch, pytest.mark.nightly]


@pytest.mark.parametrize(
    ("name", "cell"), [(name, cell) for name, row in table().items() for cell in row]
)
def test_a_family_comes_to_what_it_did(
    name: str, cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    assert name in SIZES
    assert cell in cells()
    assert result(name, cell) == table()[name][cell]
