"""What nobody foresaw: one line, a file with the trace, exit code 70. And output that cannot be
written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli import run
from edgekit.store import results

SECRET = "canary-5b1d0e77"
LIST = [sys.executable, "-m", "edgekit.cli", "target", "list"]


@pytest.fixture
def _broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A results store that fails as no library should."""

    def fail(*arguments: object, **options: object) -> None:
        raise KeyError(f"postgresql://user:{SECRET}@host/{os.environ['API_TOKEN']}")

    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    monkeypatch.setenv("API_TOKEN", f"token-{SECRET}")
    monkeypatch.setattr(results.Store, "rows", fail)


def trace_files(directory: Path) -> list[Path]:
    return list((directory / "cache" / "defects").iterdir())


@pytest.mark.usefixtures("_broken")
def test_a_defect_is_two_lines_and_a_file_for_the_user_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["results", "list"]) == 70
    captured = capsys.readouterr()
    (file,) = trace_files(tmp_path)
    first, second = captured.err.splitlines()
    assert first.startswith("error: a defect of edgekit: KeyError: ")
    assert second == f"try: attach {file} to a report: it holds the command, versions and the trace"
    assert captured.out == ""
    assert file.stat().st_mode & 0o777 == 0o600
    report = file.read_text()
    assert "edgekit results list" in report
    assert "Traceback (most recent call last)" in report
    assert SECRET not in report + captured.err


@pytest.mark.usefixtures("_broken")
def test_with_json_it_is_an_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "list", "--json"]) == 70
    error = json.loads(capsys.readouterr().out)
    assert error["exit_code"] == 70
    assert Path(error["trace"]) in trace_files(tmp_path)


@pytest.mark.usefixtures("_broken")
def test_debug_shows_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "list", "--debug"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.usefixtures("_broken")
def test_without_a_cache_the_file_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("no directory")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["results", "list"]) == 70
    file = re.search(r"attach (\S+) to", capsys.readouterr().err)
    assert file
    assert Path(file[1]).parent == tmp_path


@pytest.mark.parametrize("arguments", [["brun"], ["bench"], ["gate", "--nonsense"]])
def test_wrong_usage_is_an_object_too(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_a_full_disk_under_the_output() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(LIST, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 74
    assert done.stderr.startswith("error: the output cannot be written: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_went_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(LIST, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_output() -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *LIST]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 74


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize("stream", ["stdout", "stderr", "both"])
def test_an_error_that_cannot_be_told_keeps_its_code(stream: str, json: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgekit.cli", "deploy", "/nowhere", "-t", "local", *json],
            stdout=subprocess.PIPE if stream == "stderr" else full,
            stderr=subprocess.PIPE if stream == "stdout" else full,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "Traceback" not in f"{done.stdout}{done.stderr}"
    if stream == "stdout":
        assert "/nowhere" in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_what_is_said_beside_the_answer_may_be_lost(redirection: str) -> None:
    """Progress and warnings are no reason to lose what was asked for."""
    command = ["bash", "-c", f'"$@" {redirection}', "bash", *LIST]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert "local" in done.stdout


def test_progress_that_cannot_be_shown_ends_nothing() -> None:
    code = (
        "import sys\n"
        "from edgekit.cli.streams import forgiving\n"
        "sys.stderr = forgiving(sys.stderr)\n"
        "from edgekit.cli.live import live_progress\n"
        "with live_progress(quiet=False) as progress:\n"
        "    for task in 'abc': progress(task, 1, 1, 'x' * 9000)\n"
        "print('measured')"
    )
    for redirection in ("2>/dev/full", "2> >(true)"):
        done = subprocess.run(
            ["bash", "-c", f'"$@" {redirection}', "bash", sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "measured\n")


def test_a_locale_without_the_signs() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(LIST, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "local" in done.stdout
