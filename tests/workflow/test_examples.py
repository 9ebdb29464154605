"""The examples in the docstrings of the public operations run, and every operation has one."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.manifest import Bundle

OPERATIONS = [
    name
    for name, module in edgekit.HOMES.items()
    if module.startswith("edgekit.workflow.") and name[0].islower()
]
NEED_TORCH = ("run", "sweep")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(
    tmp_path: Path, fast: Bundle, slow: Bundle, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working directory with the bundles, the target and the recipe that examples name."""
    shutil.copytree(fast.path, tmp_path / "net")
    (tmp_path / "targets").mkdir()
    shutil.copy(desk, tmp_path / "targets" / "desk.yaml")
    shutil.copy(ROOT / "recipes" / "quickstart.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_example(name: str) -> None:
    docstring = inspect.getdoc(getattr(edgekit, name)) or ""
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section in docstring, f"{name} says nothing under {section}"
    parsed = doctest.DocTestParser().get_doctest(docstring, {"edgekit": edgekit}, name, None, 0)
    assert parsed.examples
    printed: list[str] = []
    doctest.DocTestRunner(verbose=False).run(parsed, out=printed.append)
    assert not printed, "".join(printed)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in NEED_TORCH])
def test_the_example_runs(name: str) -> None:
    run_example(name)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", NEED_TORCH)
def test_the_example_that_builds_runs(
    name: str, quickstart_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(quickstart_cache))
    run_example(name)
