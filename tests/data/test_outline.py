"""What is known of data before any sample is loaded; without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.data import SOURCES
from edgekit.data.outline import outline_of
from edgekit.data.source import Outline, Source
from edgekit.errors import ModelError


def test_every_source_has_one() -> None:
    assert all(isinstance(SOURCES.resolve(name), Source) for name in SOURCES)
    assert outline_of("digits", {}, Path()) == Outline((1, 8, 8), classes=10)
    photos = outline_of("sample_photos", {}, Path())
    assert photos is not None
    assert not photos.labelled


def photos(base: Path, *names: str) -> None:
    for name in names:
        (base / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "photos" / name).touch()


@pytest.mark.parametrize(
    "names",
    [
        ("cat/1.jpg", "dog/1.png", "dog/notes.txt", ".hidden/1.jpg"),
        ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg"),
    ],
)
def test_classes_of_a_folder_are_counted(names: tuple[str, ...], tmp_path: Path) -> None:
    photos(tmp_path, *names)
    outline = outline_of("image_folder", {"path": "photos"}, tmp_path)
    assert outline is not None
    assert (outline.classes, outline.labelled) == (2, True)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no such folder"),
        (("1.jpg",), "no folders in"),
        (("cat/notes.txt",), "no files of its kind below"),
        (("train/cat/1.jpg", "test/eel/1.jpg"), "has classes that train/ has not: eel"),
    ],
)
def test_a_folder_that_surely_cannot_be_loaded(
    names: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    photos(tmp_path, *names)
    with pytest.raises(ModelError, match=message):
        outline_of("image_folder", {"path": "photos"}, tmp_path)


def test_a_function_of_the_users_tells_nothing_and_a_source_does(tmp_path: Path) -> None:
    (tmp_path / "outline_own.py").write_text(
        "from edgekit.data.source import Outline, Source\n"
        "def load(): ...\n"
        "SCANS = Source(load=load, outline=lambda args, base: Outline((2,), classes=args['n']))\n"
    )
    assert outline_of("outline_own:load", {}, tmp_path) is None
    assert outline_of("outline_own:SCANS", {"n": 3}, tmp_path) == Outline((2,), classes=3)
    with pytest.raises(ModelError, match="has no SCAN"):
        outline_of("outline_own:SCAN", {}, tmp_path)
