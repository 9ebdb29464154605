"""What cannot be written is found out before anything is measured; what was measured is shown
whatever happens afterwards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

import edgekit
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.errors import StoreError
from edgekit.workflow.storing import NotStored
from tests.support.tiers import require_root


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "results" / "results.db"
    monkeypatch.setenv("EDGEKIT_DB", str(place))
    return place


@pytest.fixture
def lost(database: Path, desk: Path) -> Path:
    """The database is overwritten while the first process of a session runs."""
    program = desk.parent / "runner"
    program.write_text(program.read_text().replace("exec", f"echo junk >{database}\nexec", 1))
    return database


COMMANDS = {
    "bench": ["bench", "{a}", "--runs", "1"],
    "compare": ["compare", "{a}", "{b}", "--runs", "1"],
    "gate": ["gate", "{a}", "--baseline", "{b}"],
    "selftest": ["selftest", "{a}", "--aa", "--runs", "10", "--resamples", "100"],
}


def arguments(command: str, fast: Bundle, slow: Bundle, desk: Path) -> list[str]:
    paths = {"{a}": str(fast.path), "{b}": str(slow.path)}
    return [*(paths.get(part, part) for part in COMMANDS[command]), "--target", str(desk)]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_stored_is_shown(
    command: str,
    lost: Path,
    fast: Bundle,
    slow: Bundle,
    desk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = arguments(command, fast, slow, desk)
    assert run(argv) == StoreError.exit_code
    shown = capsys.readouterr()
    assert "fp32.pte" in shown.out
    assert "file is not a database" in shown.err
    assert "the measurement waits in" in shown.err
    waiting = list(lost.with_name("results.db.spool").glob("*.json"))
    assert waiting


def test_one_object_of_json_holds_both(
    lost: Path, fast: Bundle, slow: Bundle, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments("bench", fast, slow, desk), "--json"]) == StoreError.exit_code
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 10
    assert Path(answer["spool"]).is_file()
    assert answer["result"]["bundle_name"] == fast.manifest.name


def test_from_python_the_error_holds_the_result(lost: Path, fast: Bundle, desk: Path) -> None:
    with pytest.raises(NotStored) as raised:
        edgekit.bench(fast, str(desk), settings={"runs": 1})
    assert len(raised.value.result["desk"].artifacts[0].runs) == 1


@pytest.mark.parametrize("trouble", ["no directory", "no database", "read-only", "full"])
@pytest.mark.parametrize("command", ["bench", "compare", "gate", "selftest"])
def test_a_database_that_cannot_be_used_is_noticed_before_anything_is_measured(
    command: str, trouble: str, database: Path, fast: Bundle, slow: Bundle, desk: Path
) -> None:
    place = database.parent
    if trouble == "no directory":
        place.write_text("a file")
    else:
        place.mkdir()
    if trouble == "no database":
        database.write_text("junk")
    if trouble in ("read-only", "full"):
        require_root("mounts a small file system")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True)
    try:
        if trouble == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        if trouble == "full":
            (place / "filler").write_bytes(bytes(1 << 20))
        assert run(arguments(command, fast, slow, desk)) == StoreError.exit_code
        assert not (desk.parent / "device").exists(), "nothing was deployed"
    finally:
        if trouble in ("read-only", "full"):
            subprocess.run(["umount", str(place)], check=True)


def test_files_of_a_verdict_never_keep_an_old_one(
    database: Path, fast: Bundle, slow: Bundle, desk: Path, tmp_path: Path
) -> None:
    files = {name: tmp_path / name for name in ("gate.xml", "gate.md", "summary.md")}
    for file in files.values():
        file.write_text("all green\n")
    options = ["--junit", str(files["gate.xml"]), "--markdown", str(files["gate.md"])]
    nowhere = ["gate", str(fast.path), "--baseline", "nobody", "--target", str(desk)]
    assert run([*nowhere, *options]) == 2
    suite = ElementTree.fromstring(files["gate.xml"].read_text())
    assert (suite.attrib["errors"], suite.attrib["failures"]) == ("1", "0")
    [error] = suite.findall("testcase/error")
    assert "nobody" in error.attrib["message"]
    assert files["gate.md"].read_text().startswith("### edgekit gate: ERROR")


def test_a_command_line_that_is_wrong_leaves_no_old_verdict_either(tmp_path: Path) -> None:
    junit, markdown = tmp_path / "gate.xml", tmp_path / "gate.md"
    for file in (junit, markdown):
        file.write_text("all green\n")
    options = ["--junit", str(junit), f"--markdown={markdown}", "--baselin", "main"]
    assert run(["gate", "build/net", *options]) == 2
    suite = ElementTree.fromstring(junit.read_text())
    assert (suite.attrib["errors"], suite.attrib["failures"]) == ("1", "0")
    assert markdown.read_text().startswith("### edgekit gate: ERROR")
    assert run(["bench", "build/net", "--junit", str(markdown)]) == 2
    assert markdown.read_text().startswith("### edgekit gate: ERROR"), "bench has no such file"
    assert run(["gate", "build/net", "--junit", "--baselin"]) == 2
    assert not Path("--baselin").exists()


@pytest.mark.parametrize("option", ["--junit", "--markdown", "--github-summary"])
def test_a_verdict_file_that_cannot_be_written_costs_no_measurement(
    option: str,
    database: Path,
    fast: Bundle,
    slow: Bundle,
    desk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = str(tmp_path / "missing" / "file")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", nowhere)
    options = [option] if option == "--github-summary" else [option, nowhere]
    assert run([*arguments("gate", fast, slow, desk), *options]) == 2
    assert not (desk.parent / "device").exists(), "nothing was deployed"


def test_a_verdict_is_shown_though_its_file_is_gone(
    database: Path,
    fast: Bundle,
    slow: Bundle,
    desk: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    program = desk.parent / "runner"
    program.write_text(program.read_text().replace("exec", f"rm -rf {place}\nexec", 1))
    junit = str(place / "gate.xml")
    assert run([*arguments("gate", fast, slow, desk), "--junit", junit]) == 2
    shown = capsys.readouterr()
    assert "latency_p50" in shown.out or "p50" in shown.out
    assert "cannot be written" in shown.err
