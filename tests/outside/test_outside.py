"""One task, one data source, one method and one backend from outside edgekit, each one module
beside a recipe: the whole way with them, from the recipe to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli import run

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RECIPE = Path(__file__).parent / "recipe"
ARTIFACTS = ["fp32.tflite", "fp32.pte", "grid.tflite", "grid.pte"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe, its modules and a target; everything is kept in it."""
    folder = tmp_path_factory.mktemp("outside")
    for file in RECIPE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (folder / "desk.yaml").write_text(
        f"edgekit: 1\nname: desk\nkind: local\nworkdir: {folder}/device\n"
    )
    return folder


@pytest.fixture(autouse=True)
def here(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    monkeypatch.setenv("EDGEKIT_CACHE", str(base / "cache"))
    monkeypatch.setenv("EDGEKIT_DB", str(base / "results.db"))


def command(
    capsys: pytest.CaptureFixture[str], *arguments: str, codes: tuple[int, ...] = (0,)
) -> dict[str, Any]:
    code = run([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code in codes, captured.err + captured.out
    return json.loads(captured.out)


@pytest.fixture
def bundle(base: Path, capsys: pytest.CaptureFixture[str]) -> str:
    command(capsys, "build", "bearings.yaml", "--output", "build")
    [built] = [path for path in (base / "build").iterdir() if not path.name.startswith(".")]
    return str(built)


def test_lint_knows_nothing_against_it(capsys: pytest.CaptureFixture[str]) -> None:
    answer = command(capsys, "recipe", "lint", "bearings.yaml")
    assert [finding for finding in answer["findings"] if finding["severity"] == "error"] == []


def test_build(bundle: str) -> None:
    manifest = json.loads(Path(bundle, "manifest.json").read_text())
    assert [artifact["file"]["name"] for artifact in manifest["artifacts"]] == ARTIFACTS
    assert {artifact["backend"] for artifact in manifest["artifacts"]} == {
        "litert",
        "plain_backend:PLAIN",
    }
    for artifact in manifest["artifacts"]:
        assert [spec["name"] for spec in artifact["inputs"]] == ["vibration", "machine"]
        assert {spec["name"] for spec in artifact["outputs"]} == {"wear", "alarm"}
        [metric] = artifact["verification"]["metrics"]
        assert (metric["name"], metric["unit"], metric["samples"]) == ("wear_error", "mm", 60)


def test_deploy(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, "deploy", bundle, "--target", "desk.yaml")


def test_run_measures_and_judges(capsys: pytest.CaptureFixture[str]) -> None:
    answer = command(capsys, "run", "bearings.yaml", "--target", "desk.yaml", "--output", "build")
    assert "wear_error" in json.dumps(answer)


def test_accuracy_on_the_device(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = command(capsys, "bench", bundle, "--target", "desk.yaml", "--accuracy", "all")
    assert "wear_error" in json.dumps(answer)


def test_compare(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    sides = (f"{bundle}:fp32.tflite", f"{bundle}:grid.pte")
    answer = command(capsys, "compare", *sides, "--target", "desk.yaml", "--runs", "2")
    assert "wear error" in json.dumps(answer)


def test_gate(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = command(
        capsys, "gate", bundle, "--baseline", bundle, "--target", "desk.yaml", "--runs", "10"
    )
    assert "wear" in json.dumps(answer)


def test_report(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, "report", bundle, "--output", "page.html")
    assert "wear error" in Path("page.html").read_text()
