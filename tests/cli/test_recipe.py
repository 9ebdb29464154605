from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli import run
from tests.support.recipes import BASE, write

BAD = BASE.replace("epochs: 2", "epoch: 2").replace("qat", "qta")


def test_valid_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write(tmp_path, BASE, name)) for name in ("a.yaml", "[b].yaml")]
    assert run(["recipe", "validate", *files]) == 0
    assert capsys.readouterr().out.replace("\n", "") == f"✓ {files[0]}✓ {files[1]}"
    assert run(["recipe", "validate", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": files, "problems": []}


def test_all_problems_of_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        str(write(tmp_path, BAD, "a.yaml")),
        str(write(tmp_path, BASE, "b.yaml")),
        str(tmp_path / "none.yaml"),
    ]
    assert run(["recipe", "validate", *files, "--set", "seed=x"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.removeprefix("error: ").splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{files[0]}:8:5",
        f"{files[0]}:11:13",
        "--set seed=x",
        files[2],
    ]
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


def test_explain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = write(tmp_path, BASE)
    assert (
        run(["recipe", "explain", str(path), "--set", "stages.int8.train.lr=0.5", "--no-estimate"])
        == 0
    )
    out = capsys.readouterr().out
    for expected in (
        "fp32.pte",
        "int8.tflite",
        "quantize qat",
        "train.lr=0.5",
        f"{path}:8:13",
        "--set stages.int8.train.lr=0.5",
        "default",
    ):
        assert expected in out
    assert run(["recipe", "explain", str(path), "--json", "--no-estimate"]) == 0
    assert [stage["name"] for stage in json.loads(capsys.readouterr().out)["stages"]] == [
        "fp32",
        "int8",
    ]


TINY = (
    BASE.replace("resnet8", "small_cnn")
    .replace("[3, 32, 32]", "[1, 8, 8]")
    .replace("fashion_mnist", "digits")
)


@pytest.mark.torch
@pytest.mark.parametrize(
    "command",
    [["recipe", "explain"], ["build", "--dry-run"], ["run", "--dry-run", "--target", "local"]],
)
def test_an_estimate_before_training_that_changes_nothing(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, TINY)
    before = sorted(tmp_path.rglob("*"))
    assert run([*command, str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    fp32, int8 = answer["estimates"]
    assert (fp32["name"], int8["name"], fp32["problem"]) == ("fp32", "int8", None)
    assert 3 < fp32["weight_bytes"] / int8["weight_bytes"] <= 4
    assert fp32["macs"] == int8["macs"] > 1e6
    assert [target["name"] for target in answer.get("targets", [])] == (
        ["local"] if "run" in command else []
    )
    assert run([*command, str(path)]) == 0
    assert "size ≥" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.torch
def test_no_estimate_of_a_model_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, TINY.replace("[1, 8, 8]", "[1, 8, 8, 8]"))
    assert run(["recipe", "explain", str(path)]) == 0
    assert "no estimate: model small_cnn does not run on input" in capsys.readouterr().out


def test_what_a_folder_of_data_holds_is_shown_before_it_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "{name: image_folder, args: {path: photos}}"
    path = write(tmp_path, BASE.replace("{name: fashion_mnist}", data))
    assert run(["recipe", "explain", str(path), "--no-estimate"]) == 0
    assert "data image_folder: no such folder" in capsys.readouterr().out
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.heic"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    assert run(["recipe", "explain", str(path), "--no-estimate"]) == 0
    assert (
        "data image_folder: 2 files; classes: 0 cat (1), 1 dog (1); left out: 1 file .heic"
        in " ".join(capsys.readouterr().out.split())
    )
    assert run(["recipe", "explain", str(path), "--no-estimate", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["data"]["classes"], answer["no_data"]) == ([["cat", 1], ["dog", 1]], "")


def test_markup_in_a_recipe_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, BASE + 'description: "[bold]x[/] [link=http://x]y"\n')
    assert run(["recipe", "explain", str(path), "--no-estimate"]) == 0
    assert "[bold]x[/]" in capsys.readouterr().out


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipe", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "edgekit recipe"


def test_no_torch_and_no_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, BAD)
    program = (
        "import sys; from edgekit.cli import run; code = run(sys.argv[1:]); sys.exit(99 if 'torch'"
        " in sys.modules else code)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program, "recipe", "validate", str(path)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
