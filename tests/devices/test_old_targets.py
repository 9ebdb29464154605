"""Target files that edgekit 0.1 wrote are read as it read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.devices.target_files import read_target

OLD = Path(__file__).parents[1] / "captured" / "format1" / "targets"
READ_BY_OLD = json.loads((OLD / "read.json").read_text())


def test_the_files_are_there() -> None:
    assert sorted(path.stem for path in OLD.glob("*.yaml")) == sorted(READ_BY_OLD)
    assert len(READ_BY_OLD) == 3


@pytest.mark.parametrize("name", sorted(READ_BY_OLD))
def test_an_old_target_means_what_it_meant(name: str) -> None:
    now = read_target(OLD / f"{name}.yaml").model_dump(mode="json")
    assert now["runners"]["litert"]["kind"] == "auto", "called `edgekit` then"
    now["runners"]["litert"]["kind"] = "edgekit"
    assert _known_before(now, READ_BY_OLD[name]) == READ_BY_OLD[name]


def _known_before(now: Any, before: Any) -> Any:
    """What is read now, without the settings that are newer."""
    if isinstance(before, dict):
        return {key: _known_before(now[key], value) for key, value in before.items()}
    return now
