"""Sensitivity of a recipe's stage, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.cli import run

pytestmark = pytest.mark.torch

RECIPE = """
edgekit: 1
name: tiny
model: {name: small_cnn, args: {num_classes: 10, width: 4}}
input: {shape: [1, 8, 8]}
data: {name: digits, train_limit: 128}
stages:
  - {stage: train, export: fp32}
  - {stage: quantize, method: ptq, export: int8, calibration_samples: 64}
  - {stage: quantize, method: qat, from: fp32, export: qat8, train: {epochs: 1}}
  - {stage: quantize, method: fp16, from: fp32, export: half}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return str(path)


def test_on_the_command_line(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sensitivity", recipe, "--stage", "int8", "--samples", "16"]
    assert run([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["samples"] == 16
    assert answer["keep_float"] == []
    assert {layer["name"] for layer in answer["layers"]} >= {"block1.0", "classifier"}
    assert run([*command, "--reach", str(answer["snr_db"] + 1)]) == 0
    out = capsys.readouterr().out
    assert "keep_float: [" in out
    assert run([*command, "--reach", "1"]) == 0
    assert "it reaches 1 dB as it is" in capsys.readouterr().out
    assert run([*command, "--reach", "999"]) == 0
    assert "cannot be reached" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ([], "several int8 stages: int8, qat8"),
        (["--stage", "int9"], "no int8 stage 'int9' (did you mean 'int8'?)"),
        (["--stage", "half"], "no int8 stage 'half'"),
    ],
)
def test_which_stage(
    stage: list[str], message: str, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sensitivity", recipe, *stage]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_recipe_without_int8(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(recipe).write_text(
        "\n".join(line for line in RECIPE.splitlines() if "ptq" not in line and "qat" not in line)
    )
    assert run(["sensitivity", recipe]) == 2
    assert "no stage with method ptq or qat" in capsys.readouterr().err.replace("\n", " ")
