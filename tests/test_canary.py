"""A secret in the environment, in a key file and in the user's configuration must not turn up in
the database, the spool, exports, the report, output or a traceback, whether a session ends well or
badly. (That of a database URL: tests/store; of targets: tests/devices/test_target.py; over SSH:
tests/devices/test_canary.py.)"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from tests.support.desk import make_desk
from tests.support.measured import make_bundle

CANARY = "canary-7f3a91c2"


@pytest.fixture
def secretive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Secrets where a user has them; the directory that everything is written under."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    (home / ".netrc").write_text(f"machine x login y password {CANARY}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("EDGEKIT_SSH_PASSWORD", "PGPASSWORD", "API_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "data" / "results.db"))
    return tmp_path


def leaks(directory: Path, home: Path) -> list[Path]:
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and home not in path.parents and CANARY.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("behaviour", ["good", "crash", "rubbish", "says"])
def test_no_secret_turns_up(
    secretive: Path, behaviour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle: Bundle = make_bundle(
        secretive / "bundle",
        ["fp32.pte"],
        recipe={"bench": {"warmup_min_seconds": 0, "min_seconds": 0}},
    )
    desk = make_desk(secretive, bundle, behaviour)
    ended = run(["bench", str(bundle.path), "--target", str(desk), "--runs", "2", "--debug"])
    assert (ended == 0) is (behaviour == "good")
    assert run(["results", "list"]) == 0
    assert run(["results", "show"]) == 0
    assert (
        run(["results", "export", "--format", "jsonl", "--raw", "-o", str(secretive / "out.jsonl")])
        == 0
    )
    assert (
        run(["results", "export", "--format", "parquet", "-o", str(secretive / "out.parquet")]) == 0
    )
    assert run(["report", "-o", str(secretive / "report.html"), "--debug"]) == 0
    assert run(["baseline", "set", "main", str(bundle.path)]) == 0
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
    assert leaks(secretive, secretive / "home") == []


def test_the_search_would_find_one(secretive: Path) -> None:
    (secretive / "log.txt").write_text(f"password={CANARY}")
    assert leaks(secretive, secretive / "home") == [secretive / "log.txt"]
    shutil.rmtree(secretive / "home")


def test_a_runner_does_not_get_the_hosts_secrets(secretive: Path) -> None:
    """What a runner prints about its environment would come back with its output."""
    bundle = make_bundle(secretive / "bundle", ["fp32.pte"])
    desk = make_desk(secretive, bundle)
    program = secretive / "runner"
    program.write_text("#!/bin/sh\nenv >" + str(secretive / "environment.txt") + "\nexit 3\n")
    run(["bench", str(bundle.path), "--target", str(desk), "--runs", "1"])
    assert "PATH" in (secretive / "environment.txt").read_text()
    assert CANARY not in (secretive / "environment.txt").read_text()
