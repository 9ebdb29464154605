"""Two builds of one small model on this machine, under a runner that says how long they take."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.devices.target import LocalTarget
from tests.support.desk import make_desk
from tests.support.measured import make_bundle


@pytest.fixture(autouse=True)
def _own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))


@pytest.fixture
def fast(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "fast", ["fp32.pte"])


@pytest.fixture
def slow(tmp_path: Path) -> Bundle:
    """Twice as slow as `fast`."""
    return make_bundle(tmp_path / "slow", ["fp32.pte"], text="slow!")


@pytest.fixture
def desk(tmp_path: Path, fast: Bundle) -> Path:
    """The file of a target: this machine with a fake runner for .pte files."""
    return make_desk(tmp_path, fast)


def as_local(file: Path) -> LocalTarget:
    from edgekit.devices.target_files import load_target

    target = load_target(file)
    assert isinstance(target, LocalTarget)
    return target
