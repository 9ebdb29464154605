"""Every exported function says what it takes, gives and raises, and its example runs."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path

import pytest

import edgekit
from tests.support.desk import make_desk
from tests.support.measured import make_bundle
from tests.support.searches import SEARCHED, search_computed
from tests.support.tiers import require_module

OPERATIONS = [name for name in edgekit.HOMES if inspect.isfunction(getattr(edgekit, name))]
NEED_TORCH = ("build", "estimate", "lint", "run", "search", "sensitivity", "sweep")
BY_NIGHT = ("search",)
NEED_MODULES = {
    "apply_search": ("optuna", "search"),
    "open_search": ("optuna", "search"),
    "report_search": ("optuna", "search"),
    "search": ("optuna", "search"),
    "log_mlflow": ("mlflow.tracking", "mlflow"),
    "write_parquet": ("pyarrow.parquet", "parquet"),
}
"""The module that an example needs and the extra that brings it."""
ROOT = Path(__file__).parents[1]
FORMAT_1 = ROOT / "tests" / "captured" / "format1"
FOREIGN_MODEL = FORMAT_1 / "bundle" / "int8.tflite"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the bundles, the model, the target and the recipes that examples
    name. The bundle `slow` takes twice as long as `net`."""
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    monkeypatch.setenv("EDGEKIT_SEARCH_DB", str(tmp_path / "searches.db"))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    net = make_bundle(tmp_path / "net", ["fp32.pte"])
    make_bundle(tmp_path / "slow", ["fp32.pte"], text="slow!")
    (tmp_path / "targets").mkdir()
    make_desk(tmp_path, net).rename(tmp_path / "targets" / "desk.yaml")
    shutil.copy(ROOT / "recipes" / "quickstart.yaml", tmp_path)
    shutil.copy(FOREIGN_MODEL, tmp_path / "other.tflite")
    shutil.copy(FORMAT_1 / "recipes" / "quickstart.yaml", tmp_path / "old.yaml")
    (tmp_path / "searched.yaml").write_text(SEARCHED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_example(name: str) -> None:
    docstring = inspect.getdoc(getattr(edgekit, name)) or ""
    parsed = doctest.DocTestParser().get_doctest(docstring, {"edgekit": edgekit}, name, None, 0)
    assert parsed.examples
    printed: list[str] = []
    doctest.DocTestRunner(verbose=False).run(parsed, out=printed.append)
    assert not printed, "".join(printed)


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_says_what_it_takes_gives_and_raises(name: str) -> None:
    operation = getattr(edgekit, name)
    docstring = inspect.getdoc(operation) or ""
    for section in ("\nReturns:\n", "\nRaises:\n", "\nExample:\n"):
        assert section in docstring, f"{name} says nothing under {section.strip()}"
    arguments = docstring.partition("\nArgs:\n")[2].partition("\n\n")[0]
    for parameter in inspect.signature(operation).parameters:
        assert f"\n    {parameter}: " in f"\n{arguments}", f"{name} does not explain {parameter}"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in NEED_TORCH])
def test_the_example_runs(name: str) -> None:
    if name in NEED_MODULES:
        require_module(*NEED_MODULES[name])
    if name.endswith("_search"):
        search_computed(None, 4, recipe="searched.yaml")
    run_example(name)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.nightly if name in BY_NIGHT else ())
        for name in NEED_TORCH
    ],
)
def test_the_example_that_needs_torch_runs(
    name: str, quickstart_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(quickstart_cache))
    run_example(name)
