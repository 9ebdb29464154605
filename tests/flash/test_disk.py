"""Which disks are refused. The listings have the form of `lsblk --json --bytes`; a real one is
asked for in the last test."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import DeviceError, EdgekitError, UsageError
from edgekit.flash.disk import GB, Disk, judge, open_disk
from tests.support.tiers import cannot_run

CARD = Path("/dev/sdx")


def listing(**changes: Any) -> dict[str, Any]:
    part = {
        "path": "/dev/sdx1",
        "type": "part",
        "size": 30 * GB,
        "ro": False,
        "model": None,
        "mountpoints": changes.pop("mountpoints", [None]),
    }
    disk = {
        "path": "/dev/sdx",
        "type": "disk",
        "size": 32 * GB,
        "ro": False,
        "model": "SD Card Reader ",
        "mountpoints": [None],
        "children": [part],
    }
    return {"blockdevices": [{**disk, **changes}]}


def test_a_card() -> None:
    assert judge(CARD, listing(), 256 * GB) == Disk(CARD, 32 * GB, False, "SD Card Reader")


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"mountpoints": ["/media/me/boot", None]}, DeviceError, "is mounted at /media/me/boot"),
        ({"mountpoints": ["/"]}, DeviceError, "this machine runs from it"),
        ({"mountpoints": ["[SWAP]"]}, DeviceError, "this machine runs from it"),
        ({"mountpoints": ["/boot/efi"]}, DeviceError, "this machine runs from it"),
        ({"ro": True}, DeviceError, "write-protected"),
        ({"size": 0}, DeviceError, "no card in it"),
        ({"size": 2000 * GB}, DeviceError, "holds 2000 GB, more than a card of at most 256 GB"),
        ({"type": "part"}, UsageError, "not a whole disk"),
    ],
)
def test_what_is_not_overwritten(
    changes: dict[str, Any], kind: type[EdgekitError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        judge(CARD, listing(**changes), 256 * GB)
    assert caught.value.hint or "no card" in message


def test_deep_mounts_count() -> None:
    crypt = {
        "path": "/dev/mapper/x",
        "type": "crypt",
        "size": GB,
        "ro": False,
        "mountpoints": ["/home"],
    }
    disks = listing()
    disks["blockdevices"][0]["children"][0]["children"] = [crypt]
    with pytest.raises(DeviceError, match="runs from it"):
        judge(CARD, disks, 256 * GB)


def test_a_larger_limit_is_told() -> None:
    assert judge(CARD, listing(size=2000 * GB), 4000 * GB).bytes == 2000 * GB


def test_files_stand_for_cards(tmp_path: Path) -> None:
    (tmp_path / "card").write_bytes(bytes(1000))
    assert open_disk(tmp_path / "card") == Disk(tmp_path / "card", 1000, True)
    assert open_disk(tmp_path / "new") == Disk(tmp_path / "new", None, True)


def test_what_is_no_disk(tmp_path: Path) -> None:
    for path in (
        tmp_path,
        Path("/dev/null"),
        Path("/dev/no-such-disk"),
        tmp_path / "none" / "card",
    ):
        with pytest.raises(UsageError):
            open_disk(path)


def test_the_disk_this_machine_runs_from() -> None:
    """Asked of the real lsblk. Nothing is opened for writing."""
    mounted = os.stat("/").st_dev
    disks = subprocess.run(
        ["lsblk", "-nro", "PATH,MAJ:MIN,TYPE"], capture_output=True, text=True, check=False
    ).stdout.split("\n")
    path = next(
        (
            line.split()[0]
            for line in disks
            if f" {os.major(mounted)}:{os.minor(mounted)} disk" in line
        ),
        None,
    )
    if path is None or not Path(path).exists() or not stat.S_ISBLK(os.stat(path).st_mode):
        cannot_run(
            "the root file system is not on a whole disk that this container shows", need="machine"
        )
    with pytest.raises(DeviceError, match="runs from it"):
        open_disk(Path(path), max_bytes=10**18)
