"""The README's commands are commands: each names one that exists, with options it has, and those that are quick and safe are run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from edgekit.cli import app, run
from edgekit.recipe.json_schema import recipe_json_schema
from edgekit.recipe.reference import reference

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
LINES = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
COMMANDS = [line for line in LINES if line.startswith("edgekit ")]
SAFE = ("edgekit recipe ", "edgekit doctor", "edgekit target list", "edgekit target schema")


def test_there_are_some() -> None:
    assert len(COMMANDS) > 8
    assert any(line.startswith(SAFE) for line in COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_exists_with_these_options(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{line}: which command of {list(command.commands)}?"
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if re.match(r"-[-a-z]", word)} <= options


@pytest.mark.torch
@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith(SAFE)])
def test_safe_commands_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("recipes", "targets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    assert run(shlex.split(line, comments=True)[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("script", sorted({word for line in LINES for word in line.split() if word.startswith("tools/")}))
def test_scripts_are_there(script: str) -> None:
    assert (ROOT / script).is_file()


def test_the_files_it_names_are_there() -> None:
    for name in set(re.findall(r"`((?:recipes|tests|tools)/[A-Za-z0-9_./-]+\.[a-z]+)`", (ROOT / "README.md").read_text())):
        assert (ROOT / name).exists(), name


def test_the_reference_is_todays() -> None:
    command = "edgekit recipe schema --markdown -o recipes/REFERENCE.md"
    assert (ROOT / "recipes/REFERENCE.md").read_text() == reference(recipe_json_schema(), command) + "\n", f"run: {command}"


def test_the_reference_holds_every_key_of_the_schema() -> None:
    text, schema = (ROOT / "recipes/REFERENCE.md").read_text(), recipe_json_schema()
    for name, section in schema["$defs"].items():
        part = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert all(f"`{key}`" in part for key in section["properties"]), name
