"""Images onto cards: every packing, every way it can go wrong."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from edgekit.errors import DeviceError, UsageError
from edgekit.flash import image as images
from edgekit.flash.disk import Disk
from edgekit.flash.image import CHUNK_BYTES, write_image
from tests.support.tiers import require_root

PLAIN = (
    random.Random(0).randbytes(510)
    + b"\x55\xaa"
    + random.Random(1).randbytes(2 * CHUNK_BYTES + 12345)
)
PACKED = {
    "img": PLAIN,
    "img.gz": gzip.compress(PLAIN, 1),
    "img.xz": lzma.compress(PLAIN, preset=0),
    "img.zst": zstandard.compress(PLAIN),
}
PACKED["two frames.img.zst"] = zstandard.compress(PLAIN[:CHUNK_BYTES]) + zstandard.compress(
    PLAIN[CHUNK_BYTES:]
)


def card(path: Path, size: int = 4 * CHUNK_BYTES) -> Disk:
    path.write_bytes(b"\xee" * size)
    return Disk(path, size, True)


@pytest.mark.parametrize("suffix", PACKED)
def test_written_and_read_back(suffix: str, tmp_path: Path) -> None:
    image, disk = tmp_path / f"os.{suffix}", card(tmp_path / "card")
    image.write_bytes(PACKED[suffix])
    steps: list[tuple[str, float, float]] = []
    written = write_image(
        image, disk, progress=lambda task, done, total, text="": steps.append((task, done, total))
    )
    assert (written.bytes, written.sha256) == (len(PLAIN), hashlib.sha256(PLAIN).hexdigest())
    assert disk.path.read_bytes() == PLAIN + b"\xee" * (4 * CHUNK_BYTES - len(PLAIN))
    assert {task for task, done, total in steps if done == total} == {
        f"write {image.name}",
        "read back",
    }


def test_a_new_file_stands_for_a_card(tmp_path: Path) -> None:
    (tmp_path / "os.img").write_bytes(PLAIN)
    write_image(tmp_path / "os.img", Disk(tmp_path / "new", None, True))
    assert (tmp_path / "new").read_bytes() == PLAIN


@pytest.mark.parametrize("suffix", ["img.gz", "img.xz", "img.zst"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_image(suffix: str, damage: str, tmp_path: Path) -> None:
    data = bytearray(PACKED[suffix])
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    if suffix == "img.zst" and damage == "flipped":
        data = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN))
        data[-6] ^= 1
    image, disk = tmp_path / "os", card(tmp_path / "card")
    image.write_bytes(data)
    with pytest.raises(UsageError, match="is damaged") as caught:
        write_image(image, disk)
    assert "compare its checksum" in caught.value.hint
    assert disk.path.read_bytes()[510:512] != b"\x55\xaa", (
        "a card that is half written must not look bootable"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(600), "zip archive"),
        (b"hello" * 1000, "no partition table"),
        (None, "No such file"),
        ("dir", "not a file|directory"),
    ],
)
def test_what_is_not_an_image(content: bytes | str | None, message: str, tmp_path: Path) -> None:
    image, disk = tmp_path / "os", card(tmp_path / "card")
    before = disk.path.read_bytes()
    if content == "dir":
        image.mkdir()
    elif isinstance(content, bytes):
        image.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        write_image(image, disk)
    assert disk.path.read_bytes() == before


def test_a_card_that_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "os").write_bytes(PLAIN)
    with pytest.raises(DeviceError, match="is too small") as caught:
        write_image(tmp_path / "os", card(tmp_path / "card", CHUNK_BYTES))
    assert caught.value.exit_code == 7


def test_a_full_disk(tmp_path: Path) -> None:
    require_root("mounts a tiny tmpfs")
    small = tmp_path / "small"
    small.mkdir()
    (tmp_path / "os").write_bytes(PLAIN)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(DeviceError, match="is full"):
            write_image(tmp_path / "os", Disk(small / "card", None, True))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_write_protected_card(tmp_path: Path) -> None:
    require_root("mounts a read-only file system")
    locked = tmp_path / "locked"
    locked.mkdir()
    (tmp_path / "os").write_bytes(PLAIN)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(locked)], check=True)
    try:
        disk = card(locked / "card")
        subprocess.run(["mount", "-o", "remount,ro", str(locked)], check=True)
        with pytest.raises(DeviceError, match="is write-protected"):
            write_image(tmp_path / "os", disk)
    finally:
        subprocess.run(["umount", str(locked)], check=True)


@pytest.mark.parametrize("offset", [0, 100, CHUNK_BYTES, len(PLAIN) - 1])
def test_a_bit_that_flipped_after_writing_is_found(
    offset: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "os").write_bytes(PLAIN)
    disk = card(tmp_path / "card")
    forget = images._forget_cache

    def flip(disk: Disk, target: int) -> None:
        forget(disk, target)
        byte = os.pread(target, 1, offset)[0]
        os.pwrite(target, bytes([byte ^ 1]), offset)

    monkeypatch.setattr(images, "_forget_cache", flip)
    with pytest.raises(
        DeviceError,
        match=rf"not what was written, after {offset // CHUNK_BYTES * CHUNK_BYTES / 1e6:.0f} MB",
    ):
        write_image(tmp_path / "os", disk)


CHILD = """
import sys
from pathlib import Path
from edgekit.flash.disk import Disk
from edgekit.flash.image import write_image
def slow(task, done, total, text=""):
    print(done, flush=True)
    sys.stdin.readline()
write_image(Path(sys.argv[1]), Disk(Path(sys.argv[2]), int(sys.argv[3]), True), progress=slow)
"""


@pytest.mark.parametrize("steps", range(7))
def test_killed_at_any_step_and_written_again(steps: int, tmp_path: Path) -> None:
    """Three chunks are written and three read back. Until all is written, the card does not look
    bootable."""
    image, disk = tmp_path / "os", card(tmp_path / "card")
    image.write_bytes(PLAIN)
    argv = [sys.executable, "-c", CHILD, str(image), str(disk.path), str(disk.bytes)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        for _ in range(steps):
            child.stdout.readline()
            child.stdin.write("\n")
            child.stdin.flush()
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    bootable = disk.path.read_bytes()[510:512] == b"\x55\xaa"
    assert bootable == (steps >= 3)
    write_image(image, disk)
    assert disk.path.read_bytes()[: len(PLAIN)] == PLAIN


def test_a_link_in_place_of_a_card_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "os").write_bytes(PLAIN)
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / "card").symlink_to(tmp_path / "other")
    with pytest.raises(DeviceError):
        write_image(tmp_path / "os", Disk(tmp_path / "card", None, True))
    assert (tmp_path / "other").read_bytes() == b"mine"
