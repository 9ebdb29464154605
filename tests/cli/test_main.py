"""The command line as a user's shell sees it: exit codes, one line of error, JSON, and a start
without torch."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import edgekit
from edgekit.cli import _with_home, app, run


def test_help_lists_the_commands_and_imports_no_torch() -> None:
    code = "import sys; from edgekit.cli import run; run(['--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("False")
    for command in ("run", "build", "bench", "recipe", "results"):
        assert command in done.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"edgekit {edgekit.__version__}\n"


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["brun"]) == 2
    assert "brun" in capsys.readouterr().err


def test_an_error_is_two_lines_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == f"error: {tmp_path}: not a bundle (no manifest.json)"
    assert captured.err.splitlines()[1].startswith("try: ")
    assert "Traceback" not in captured.err


def test_debug_shows_the_traceback_wherever_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(tmp_path), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_error_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", str(tmp_path), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["exit_code"] == 2
    assert "not a bundle" in error["error"]


def test_recipe_mistakes_go_out_with_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text("edgekit: 1\nnmae: x\n")
    assert run(["run", str(recipe), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {"line": 2, "column": 1}.items() <= next(
        p for p in problems if "nmae" in p["message"]
    ).items()


def test_a_target_that_does_not_exist_is_found_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "edgekit: 1\nname: tiny\nmodel: {name: small_cnn}\ninput: {shape: [1, 8, 8]}\ndata: {name:"
        " digits}\nstages: [{stage: train, export: fp32}]\n"
    )
    assert run(["run", str(recipe), "--target", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_python_api_is_the_command_line() -> None:
    assert {
        "build",
        "run",
        "bench",
        "deploy",
        "judge",
        "load_recipe",
        "load_target",
        "open_bundle",
    } <= set(dir(edgekit))
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        edgekit.biuld  # noqa: B018


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield from (
            commands(command, (*path, name))
            if hasattr(command, "commands")
            else [((*path, name), command)]
        )


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_an_example(path: tuple[str, ...]) -> None:
    """The example is a command line of that command, with options that it has."""
    command, (_, separator, example) = ALL[path], (ALL[path].help or "").partition("Example: ")
    assert separator, "its help has no example"
    words = shlex.split(example.split("\n\n")[0].replace("\n", " "), comments=True)
    assert words[: 1 + len(path)] == ["edgekit", *path]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgekit.cli", "--show-completion", shell],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert "edgekit" in done.stdout.lower()


def test_installed_completion_completes_in_bash(tmp_path: Path) -> None:
    """As a user does it: install into a home, start a shell there, and ask it to complete."""
    home = {
        **os.environ,
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    program = tmp_path / "bin" / "edgekit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgekit.cli "$@"\n')
    program.chmod(0o755)
    home |= {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    subprocess.run(
        [program, "--install-completion", "bash"], env=home, check=True, capture_output=True
    )
    function = r"$(complete -p edgekit | sed 's/.*-F \([^ ]*\) .*/\1/')"
    ask = (
        f"source ~/.bashrc; COMP_WORDS=(edgekit recipe va); COMP_CWORD=2; {function} edgekit; echo"
        ' "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], env=home, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["validate"], done.stderr


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("--output=~/out", "--output=/home/me/out"),
        ("--set=a=~/b", "--set=a=~/b"),
        ("a=~/b", "a=~/b"),
        ("~/x", "~/x"),
        ("--output=x~/y", "--output=x~/y"),
    ],
)
def test_a_home_directory_behind_an_equals_sign(
    argument: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells leave it as it is, and a directory called ~ is never meant."""
    monkeypatch.setenv("HOME", "/home/me")
    assert _with_home(argument) == meant
