from __future__ import annotations

import json
import os
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import edgekit
from edgekit import host_check
from edgekit.boards.check_items import CheckItem
from edgekit.cli import run
from edgekit.installing import DISTRIBUTION, install_command


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "data" / "results.db"))
    monkeypatch.setenv("COLUMNS", "150")


def finding(check: str) -> CheckItem:
    return next(item for item in edgekit.doctor().items if item.check == check)


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == code
    checks = [item["check"] for item in answer["findings"]]
    assert {
        "python",
        "C++ compiler",
        "adb",
        "ssh",
        "cache",
        "disk",
        "database",
        *(f"extra {extra}" for extra in host_check.EXTRAS),
    } <= set(checks)
    assert run(["doctor"]) == code
    assert "this machine" in capsys.readouterr().out


def test_the_extras_are_those_of_the_package() -> None:
    assert set(host_check.EXTRAS) | {"test", "dev"} == set(
        metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    )


def test_without_programs_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (finding("C++ compiler").level, "g++" in finding("C++ compiler").fix) == (
        "warning",
        True,
    )
    for program in host_check.PROGRAMS:
        assert finding(program).level == "note"
        assert finding(program).fix.startswith("sudo apt-get install")


def test_a_program_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "adb"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Android Debug Bridge version 1.0.41"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert finding("adb").text == "Android Debug Bridge version 1.0.41"


@pytest.mark.parametrize(
    ("installed", "level", "says"),
    [
        ({}, "note", "not installed"),
        ({"torch": "2.0.0"}, "problem", "torch 2.0.0 where ==2.14.1 is meant"),
        ({"torch": "2.14.1"}, "problem", "missing: executorch"),
    ],
)
def test_extras_against_their_pins(
    installed: dict[str, str], level: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_check, "_version", installed.get)
    item = host_check._extra(
        "export", "builds recipes", [Requirement("torch==2.14.1"), Requirement("executorch==1.5.1")]
    )
    assert item.level == level
    assert says in item.text
    assert item.fix == install_command("export")
    assert item.exit_code == (4 if level == "problem" else 0)


def test_the_database_is_looked_at_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "none yet" in finding("database").text
    assert not (tmp_path / "data").exists()
    with edgekit.open_store():
        pass
    assert finding("database").text.endswith("results.db: 0 measurements")
    (tmp_path / "data" / "results.db").write_bytes(b"not a database" * 1000)
    assert (finding("database").level, finding("database").exit_code) == ("problem", 10)


def test_a_scarce_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in (
        (host_check.DISK_PROBLEM_BYTES - 1, "problem"),
        (host_check.DISK_WARNING_BYTES - 1, "warning"),
        (host_check.DISK_WARNING_BYTES, "ok"),
    ):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, free=free: shutil._ntuple_diskusage(free, 0, free)
        )
        assert finding("disk").level == level
