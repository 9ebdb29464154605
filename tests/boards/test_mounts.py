"""Work directories on mounts of every kind, which root makes here: what `target check` says of them
before anything is sent, and what a run says that was started all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import edgekit
from edgekit.boards.check_items import CheckItem
from edgekit.devices.target import LocalTarget
from edgekit.errors import DeviceError
from tests.support.measured import bench, make_bundle
from tests.support.tiers import cannot_run


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system in memory."""
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        cannot_run(f"mounts a small file system: {done.stderr.strip()}", need="mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def on(place: Path) -> LocalTarget:
    return LocalTarget(edgekit=1, name="desk", kind="local", workdir=f"{place}/a/store")


def checked(place: Path) -> dict[str, CheckItem]:
    items = {item.check: item for item in edgekit.check(on(place)).items}
    leftovers = [path.name for path in place.iterdir() if path.name != "filler"]
    assert leftovers == [], "nothing is left behind"
    return items


def test_noexec(tmp_path: Path) -> None:
    with mounted(tmp_path / "home", "size=200m,noexec") as place:
        item = checked(place)["programs"]
        assert edgekit.check(on(place)).exit_code == DeviceError.exit_code
    assert item.level == "problem"
    assert f"is on a noexec mount ({place}): no program starts there" in item.text
    assert "workdir" in item.fix


def test_a_run_on_noexec_says_what_to_do(tmp_path: Path) -> None:
    """The user's own program lies there; edgekit's runners would be refused in the same way."""
    bundle = make_bundle(tmp_path / "bundle", ["fp32.pte"])
    with mounted(tmp_path / "home", "size=200m,noexec") as place:
        program = place / "runner"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        runners = {"executorch": {"program": str(program)}}
        target = LocalTarget.model_validate(
            {"edgekit": 1, "name": "desk", "kind": "local", "runners": runners}
            | {"workdir": str(tmp_path / "store")}
        )
        with pytest.raises(DeviceError) as raised:
            bench(bundle, target, runs=1)
    assert "noexec" in f"{raised.value.message} {raised.value.hint}"


def test_nosuid_is_fine(tmp_path: Path) -> None:
    with mounted(tmp_path / "home", "size=200m,nosuid,nodev") as place:
        items = checked(place)
    assert items["programs"].level == "ok"
    assert items["disk"].level == "warning"
    assert "in memory (tmpfs): gone after a restart" in items["disk"].text


def test_read_only(tmp_path: Path) -> None:
    with mounted(tmp_path / "home", "size=200m,ro") as place:
        items = checked(place)
    assert items["disk"].level == "problem"
    assert f"{place} is mounted read-only" in items["disk"].text
    assert items["programs"].level == "unknown"


@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_full(what: str, tmp_path: Path) -> None:
    options = "size=1m" if what == "blocks" else "size=100m,nr_inodes=2"
    with mounted(tmp_path / "home", options) as place:
        if what == "blocks":
            with pytest.raises(OSError, match="No space left"):
                (place / "filler").write_bytes(bytes(2 << 20))
        else:
            (place / "filler").touch()
        item = checked(place)["disk"]
    assert (item.level, item.exit_code) == ("problem", DeviceError.exit_code)
    assert "No space left on device" in item.text
    assert item.fix.startswith("free some space or some files")
