"""The fingerprint of data changes with every file that they come from, and with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edgekit.data import SOURCES
from edgekit.data.fingerprint import dataset_fingerprint


def test_a_folder_of_images_counts_by_listing(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    image = tmp_path / "photos" / "cat" / "1.jpg"
    image.write_bytes(b"abc")
    os.utime(image, (5, 5))

    def now() -> str:
        return dataset_fingerprint("image_folder", {"path": "photos"}, tmp_path)

    first = now()
    assert now() == first
    os.utime(image, (6, 6))
    assert now() != first
    os.utime(image, (5, 5))
    assert now() == first
    (image.parent / "2.jpg").write_bytes(b"")
    assert now() != first


def test_arguments_that_are_no_paths_do_no_harm(tmp_path: Path) -> None:
    for value in ("", "x" * 5000, "a\0b", None, 3, ["list"]):
        assert len(dataset_fingerprint("digits", {"value": value}, tmp_path)) == 64


def test_the_source_of_a_users_data_counts(tmp_path: Path) -> None:
    (tmp_path / "scans.py").write_text("def load(): ...\n")
    first = dataset_fingerprint("scans:load", {}, tmp_path)
    assert dataset_fingerprint("scans:load", {}, tmp_path) == first
    (tmp_path / "scans.py").write_text("def load(): return 1\n")
    assert dataset_fingerprint("scans:load", {}, tmp_path) != first


def test_no_torch() -> None:
    code = f"""
import sys
from pathlib import Path
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.data.outline import outline_of
for name in {list(SOURCES)!r}:
    dataset_fingerprint(name, {{}}, Path("."))
    outline_of(name, {{}}, Path("."))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_what_a_look_into_a_folder_leaves_behind_changes_nothing(tmp_path: Path) -> None:
    """Else a file manager that writes .DS_Store would cost a training."""
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"1")
    before = dataset_fingerprint("image_folder", {"path": "photos"}, tmp_path)
    for stray in (".DS_Store", "Thumbs.db", "._1.jpg"):
        (folder / stray).write_bytes(b"2")
    assert dataset_fingerprint("image_folder", {"path": "photos"}, tmp_path) == before
    (folder / "2.jpg").write_bytes(b"2")
    assert dataset_fingerprint("image_folder", {"path": "photos"}, tmp_path) != before
