"""Modules of a user's own that raise, whatever part of theirs it is: an exit code, and one line
that says what failed and at which line of the module."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli import run

pytestmark = [pytest.mark.torch, pytest.mark.slow]

RECIPE = Path(__file__).parent / "recipe"
FAULT = "json_of_no_use['key']"
STREAM = """
class Bearings:
    def __len__(self):
        return 40

    def __getitem__(self, number):
        if number == 7:
            json_of_no_use['key']
        return {"vibration": np.zeros(16, "float32"), "machine": np.array([1])}, np.float32(1)


VIBRATION = lambda samples: (Bearings(), Bearings())
"""


@pytest.fixture
def base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with the recipe and its modules; the cache is shared by the tests of this file."""
    for file in RECIPE.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path_factory.getbasetemp() / "failing-cache"))
    yield tmp_path
    for file in RECIPE.glob("*.py"):
        sys.modules.pop(file.stem, None)


def break_function(path: Path, start: str) -> int:
    """Put a fault where the body of the function that starts like this begins; gives its line."""
    lines = path.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.strip().startswith(start))
    body = next(number for number in range(first, len(lines)) if lines[number].endswith(":")) + 1
    indent = len(lines[body]) - len(lines[body].lstrip())
    lines.insert(body, " " * indent + FAULT)
    path.write_text("\n".join(lines) + "\n")
    return body + 1


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


BY_DAY = [
    ("wear_task", "def loss", 3, "task wear_task:WEAR: its loss"),
    ("vibration_source", "def load", 3, "data vibration_source:VIBRATION: its factory"),
    ("bearing_net", "def build", 3, "model bearing_net:build: its factory"),
    ("grid_method", "def run", 3, "stage grid: its method"),
    ("plain_backend", "def lower", 4, "backend plain_backend:PLAIN: its lower"),
]
NIGHTLY = [
    ("wear_task", "def score", 3, "task wear_task:WEAR: its score"),
    ("wear_task", "def check_targets", 3, "task wear_task:WEAR: its check_targets"),
    ("plain_backend", "def open", 4, "backend plain_backend:PLAIN: its open"),
]


@pytest.mark.parametrize(
    ("module", "function", "code", "what"),
    [*BY_DAY, *(pytest.param(*case, marks=pytest.mark.nightly) for case in NIGHTLY)],
)
def test_a_build_ends_with_one_line(
    base: Path,
    capsys: pytest.CaptureFixture[str],
    module: str,
    function: str,
    code: int,
    what: str,
) -> None:
    line = break_function(base / f"{module}.py", function)
    actual, answer = outcome(capsys, "build", "bearings.yaml", "--output", "build")
    assert actual == code, answer
    message = answer["error"]
    assert f"{what} failed: NameError: name 'json_of_no_use' is not defined" in message
    assert f"{module}.py:{line})" in message
    assert "Traceback" not in json.dumps(answer)


def test_a_sample_that_cannot_be_read_is_named(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = base / "vibration_source.py"
    module.write_text(module.read_text() + STREAM)
    line = module.read_text().splitlines().index(f"            {FAULT}") + 1
    code, answer = outcome(capsys, "build", "bearings.yaml", "--output", "build")
    assert code == 3, answer
    message = answer["error"]
    assert "split, sample 7: NameError: name 'json_of_no_use' is not defined" in message
    assert f"vibration_source.py:{line})" in message


@pytest.mark.parametrize(
    ("module", "function", "finding", "what"),
    [
        ("wear_task", "def classes_of", "task", "task wear_task:WEAR: its classes_of"),
        ("vibration_source", "def outline", "data", "data vibration_source:VIBRATION: its outline"),
        (
            "plain_backend",
            "def predict",
            "cannot-export",
            "backend plain_backend:PLAIN: its predict",
        ),
        ("grid_method", "lint_model", "method", "grid_method:GRID: its lint_model"),
    ],
)
def test_lint_has_a_finding(
    base: Path,
    capsys: pytest.CaptureFixture[str],
    module: str,
    function: str,
    finding: str,
    what: str,
) -> None:
    path = base / f"{module}.py"
    if module == "grid_method":
        source = path.read_text().replace("scheme=FLOAT)", "scheme=FLOAT, lint_model=lint_model)")
        before, entry = source.split("\nGRID")
        path.write_text(
            f"{before}\ndef lint_model(section, model, example):\n    yield\n\nGRID{entry}"
        )
        function = "def lint_model"
    line = break_function(path, function)
    _, answer = outcome(capsys, "recipe", "lint", "bearings.yaml")
    messages = {each["message"] for each in answer["findings"] if each["code"] == finding}
    (message,) = messages
    assert f"{what} failed: NameError" in message
    assert f"{module}.py:{line})" in message
