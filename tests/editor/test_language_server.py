"""What an author sees in an editor: the real YAML language server on shipped recipes and targets,
with nothing but the line they open with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.cli import run
from tests.support.language_server import LanguageServer, language_server

pytestmark = pytest.mark.device

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    with language_server() as running:
        yield running


def written(tmp_path: Path, text: str, kind: str = "recipe") -> Path:
    shutil.copy(ROOT / f"{kind}s" / f"{kind}.schema.json", tmp_path)
    path = tmp_path / f"mine.{kind}.yaml"
    path.write_text(f"# yaml-language-server: $schema={kind}.schema.json\n{text}")
    return path


RECIPE = """\
edgekit: 2
name: mine
model: {name: small_cnn}
inputs: {image: {shape: [1, 8, 8]}}
data: {name: digits}
stages:
  - stage: train
    epochs: 1
    export: fp32
"""


@pytest.mark.parametrize(
    "path",
    [*sorted(ROOT.glob("recipes/*.yaml")), *sorted(ROOT.glob("targets/*.yaml"))],
    ids=lambda path: path.stem,
)
def test_shipped_files_are_without_a_mark(server: LanguageServer, path: Path) -> None:
    assert server.open(path) == []


def test_a_new_recipe_is_without_a_mark(server: LanguageServer, tmp_path: Path) -> None:
    assert (
        run(
            [
                "recipe",
                "new",
                str(tmp_path / "mine.yaml"),
                "--from",
                "my_nets:build",
                "--data",
                "photos/",
                "--method",
                "pruned-qat",
            ]
        )
        == 0
    )
    assert server.open(tmp_path / "mine.yaml") == []


def test_completion_at_a_stage_offers_the_methods(server: LanguageServer, tmp_path: Path) -> None:
    path = written(tmp_path, RECIPE + "  - stage: quantize\n    method: \n")
    server.open(path)
    last = len(path.read_text().splitlines()) - 1
    assert {"fp16", "dynamic", "weight_only", "ptq", "qat"} <= set(
        server.completions(path, last, 12)
    )


def test_completion_offers_the_kinds_of_stages(server: LanguageServer, tmp_path: Path) -> None:
    path = written(tmp_path, RECIPE + "  - stage: \n")
    server.open(path)
    assert {"train", "finetune", "import", "prune", "quantize"} <= set(
        server.completions(path, 10, 11)
    )


def test_completion_offers_the_keys_that_are_not_there_yet(
    server: LanguageServer, tmp_path: Path
) -> None:
    path = written(tmp_path, RECIPE + "    \n")
    server.open(path)
    offered = server.completions(path, 10, 4)
    assert {"lr", "batch_size", "schedule", "distill"} <= set(offered)
    assert "epochs" not in offered


def test_hover_shows_the_description_and_the_unit(server: LanguageServer, tmp_path: Path) -> None:
    path = written(tmp_path, RECIPE + "budget: {variants: {fp32: {latency_p50_max_ms: 3}}}\n")
    assert server.open(path) == []
    epochs = server.hover(path, 8, 6)
    assert "Passes over the training set" in epochs
    assert "Milliseconds" in server.hover(path, 10, 35)


@pytest.mark.parametrize(
    ("wrong", "right", "line", "column", "says"),
    [
        ("epoch: 1", "epochs: 1", 8, 4, "epoch"),
        ("sgae: train", "stage: train", 7, 4, "sgae"),
        ("{shap: [1, 8, 8]}", "{shape: [1, 8, 8]}", 4, 17, "shap"),
    ],
)
def test_a_typo_is_underlined_at_its_place(
    server: LanguageServer,
    tmp_path: Path,
    wrong: str,
    right: str,
    line: int,
    column: int,
    says: str,
) -> None:
    path = written(tmp_path, RECIPE.replace(right, wrong))
    marks = server.open(path)
    here = [mark for mark in marks if mark["range"]["start"] == {"line": line, "character": column}]
    assert here, marks
    assert any(says in mark["message"] for mark in here)


@pytest.mark.parametrize(
    ("stage", "line", "column", "says"),
    [
        ("stage: quantize\n    method: qta", 11, 12, "ptq"),
        (
            "stage: quantize\n    method: ptq\n    calibration_sample: 8",
            12,
            4,
            "calibration_sample",
        ),
        ("stage: prune\n    mehtod: n_m", 11, 4, "mehtod"),
        ("stage: prune\n    method: n_m\n    m: 0", 12, 7, "minimum"),
        ("stage: trian", 10, 11, "train"),
    ],
)
def test_a_fault_in_a_stage_is_underlined_alone(
    server: LanguageServer, tmp_path: Path, stage: str, line: int, column: int, says: str
) -> None:
    """And not the whole stage as "not valid under any of the given schemas"."""
    path = written(tmp_path, f"{RECIPE}  - {stage}\n")
    marks = server.open(path)
    here = [mark for mark in marks if mark["range"]["start"] == {"line": line, "character": column}]
    assert any(says in mark["message"] for mark in here), marks
    for mark in marks:
        assert mark["range"]["start"]["line"] >= 10, mark
        assert "any of" not in mark["message"]


def test_targets_too(server: LanguageServer, tmp_path: Path) -> None:
    path = written(
        tmp_path, "edgekit: 1\nname: pi5\nkind: ssh\nhost: pi.local\nusre: pi\n", "target"
    )
    assert any(
        mark["range"]["start"] == {"line": 5, "character": 0} and "usre" in mark["message"]
        for mark in server.open(path)
    )
    assert "alias from ~/.ssh/config" in server.hover(path, 4, 2)
