"""Files appear whole or not at all, wherever edgekit writes one for a person."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.cli import run
from edgekit.store import save
from edgekit.whole_file import whole_file, write_whole
from tests.support.measured import make_bundle, make_measurement
from tests.support.tiers import require_root


def test_the_old_file_is_there_until_the_new_one_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o640)
    with whole_file(file) as staged:
        assert staged.stat().st_mode & 0o777 == 0o600
        staged.write_text("new")
        assert file.read_text() == "old"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_file(tmp_path / "file") as staged:
            staged.write_text("cut")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_links_and_long_names_stay(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"
    write_whole(tmp_path / ("é" * 127), "text")


def test_what_is_no_plain_file_is_written_to(tmp_path: Path) -> None:
    """`-o /dev/stdout` must not replace a device by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "text")
    reader.join(10)
    assert received == ["text"]
    assert pipe.is_fifo()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system on which names fit, but no content."""
    require_root("mounts a small file system")
    place = tmp_path / "full"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)], check=True)
    (place / "filler").write_bytes(bytes(4096))
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    "command",
    [
        ["results", "export", "-o", "{}"],
        ["results", "export", "--format", "jsonl", "-o", "{}"],
        ["recipe", "new", "{}", "--from", "small_cnn", "--data", "digits", "--method", "fp16"],
        ["recipe", "schema", "-o", "{}"],
        ["target", "schema", "-o", "{}"],
        ["bundle", "keygen", "{}"],
    ],
    ids=lambda command: " ".join(command[:4]),
)
def test_a_full_disk_leaves_no_cut_and_no_stray_file(
    command: list[str], full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    save(make_measurement(make_bundle(tmp_path / "bundle")))
    output = full / "out.yaml"
    assert run([part.replace("{}", str(output)) for part in command]) == 2
    assert [file.name for file in full.iterdir()] == ["filler"]
    (full / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(full)], check=True)
    assert run([part.replace("{}", str(output)) for part in command]) == 0
    assert output.stat().st_size


def test_a_damaged_measurement_does_not_keep_the_others_from_being_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "results.db"
    monkeypatch.setenv("EDGEKIT_DB", str(database))
    bundle = make_bundle(tmp_path / "bundle")
    ids = [save(make_measurement(bundle, number=number)) for number in range(3)]
    with sqlite3.connect(database) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            "UPDATE measurement_bodies SET body = x'00' WHERE measurement_id = ?", (ids[1],)
        )
    assert run(["results", "export", "--format", "jsonl", "-o", str(tmp_path / "out")]) == 10
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert {line["measurement"] for line in lines} == {ids[0], ids[2]}
    printed = capsys.readouterr().err
    assert ids[1] in printed
