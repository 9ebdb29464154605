from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli import run
from tests.recipe.test_load import BASE, write

BAD = BASE.replace("epochs: 2", "epoch: 2").replace("qat", "qta")


def test_valid_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write(tmp_path, BASE, name)) for name in ("a.yaml", "[b].yaml")]
    assert run(["recipe", "validate", *files]) == 0
    assert capsys.readouterr().out.replace("\n", "") == f"✓ {files[0]}✓ {files[1]}"
    assert run(["recipe", "validate", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": files, "problems": []}


def test_all_problems_of_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write(tmp_path, BAD, "a.yaml")), str(write(tmp_path, BASE, "b.yaml")), str(tmp_path / "none.yaml")]
    assert run(["recipe", "validate", *files, "--set", "seed=x"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.removeprefix("error: ").splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{files[0]}:8:5", f"{files[0]}:11:13", "--set seed=x", files[2]]
    assert "(did you mean 'epochs'?)" in lines[0]


def test_problems_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, BAD)
    assert run(["recipe", "validate", str(path), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2
    assert answer["problems"][0] == {
        "file": str(path),
        "line": 8,
        "column": 5,
        "message": "unknown key 'epoch' (did you mean 'epochs'?)",
        "hint": "",
    }
    assert [(p["line"], p["column"]) for p in answer["problems"]] == [(8, 5), (11, 13)]


def test_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = write(tmp_path, BASE)
    assert run(["recipe", "explain", str(path), "--set", "stages.int8.train.lr=0.5"]) == 0
    out = capsys.readouterr().out
    for expected in ("fp32.pte", "int8.tflite", "quantize qat", "train.lr=0.5", f"{path}:8:13", "--set stages.int8.train.lr=0.5", "default"):
        assert expected in out
    assert run(["recipe", "explain", str(path), "--json"]) == 0
    assert [stage["name"] for stage in json.loads(capsys.readouterr().out)["stages"]] == ["fp32", "int8"]


def test_markup_in_a_recipe_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, BASE + 'description: "[bold]x[/] [link=http://x]y"\n')
    assert run(["recipe", "explain", str(path)]) == 0
    assert "[bold]x[/]" in capsys.readouterr().out


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipe", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "edgekit recipe"


def test_no_torch_and_no_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, BAD)
    program = "import sys; from edgekit.cli import run; code = run(sys.argv[1:]); sys.exit(99 if 'torch' in sys.modules else code)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program, "recipe", "validate", str(path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
