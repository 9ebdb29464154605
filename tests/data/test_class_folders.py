"""Folders as people have them: which are splits, which are classes, which files are samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.data.class_folders import ClassFolders, class_order
from edgekit.data.images import SUFFIXES
from edgekit.data.split_folders import FolderContents
from edgekit.errors import ModelError


def folder(root: Path, *names: str) -> ClassFolders:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return ClassFolders("image_folder", root, SUFFIXES)


def contents(root: Path, *names: str) -> FolderContents:
    return folder(root, *names).contents()


@pytest.mark.parametrize(
    "held_out",
    ["test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev", "Test", "VALID"],
)
def test_the_held_out_split_has_many_names(held_out: str, tmp_path: Path) -> None:
    names = [f"{part}/{name}/1.jpg" for part in ("train", held_out) for name in ("cat", "dog")]
    assert contents(tmp_path, *names) == FolderContents(4, (("cat", 2), ("dog", 2)), ())


def test_of_several_held_out_splits_one_is_used_and_the_others_are_named(tmp_path: Path) -> None:
    names = [f"{part}/cat/1.jpg" for part in ("train", "valid", "test")]
    assert contents(tmp_path, *names) == FolderContents(2, (("cat", 2),), ("the folder valid",))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/cat/1.jpg",), "has train, but no folder of samples for testing"),
        (("train/cat/1.jpg", "test/1.jpg"), "has train, but no folder of samples for testing"),
        (("train/cat/1.jpg", "holdout/cat/1.jpg"), "has train, but no folder of samples"),
        (("valid/cat/1.jpg", "test/cat/1.jpg"), "has test, valid, but no folder train"),
        (("train/cat/1.jpg", "test/cat/1.jpg", "dog/1.jpg"), r"splits \(train, test\) and classes"),
        (("train/1.jpg", "valid/1.jpg"), "train, valid in .* hold no folder for each class"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(
    names: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        contents(tmp_path, *names)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert folder(tmp_path, "train/1.jpg", "car/1.jpg", "bus/1.jpg").classes() == (
        "bus",
        "car",
        "train",
    )


def test_names_that_are_numbers_are_the_numbers_of_the_classes(tmp_path: Path) -> None:
    names = [str(number) for number in range(26)]
    assert folder(tmp_path, *(f"{name}/1.jpg" for name in names)).classes() == tuple(names)


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "9", "1"], ("1", "9", "10")),
        (["01", "1", "00"], ("00", "01", "1")),
        (["n10", "n9"], ("n10", "n9")),
        (["10", "9", "other"], ("10", "9", "other")),
        ([], ()),
    ],
)
def test_the_order_of_classes(names: list[str], ordered: tuple[str, ...]) -> None:
    assert class_order(names) == ordered


def test_what_systems_leave_behind_is_no_sample(tmp_path: Path) -> None:
    listed = contents(
        tmp_path,
        "cat/1.jpg",
        "cat/deep/2.jpg",
        "cat/.ipynb_checkpoints/1-checkpoint.jpg",
        "cat/._1.jpg",
        "cat/deep/.hidden/3.jpg",
        "cat/@eaDir/1.jpg",
        "__MACOSX/cat/1.jpg",
        "lost+found/1.jpg",
        ".git/1.jpg",
    )
    assert listed == FolderContents(2, (("cat", 2),), ())
    (tmp_path / "cat" / "3.jpg").mkdir()
    assert contents(tmp_path).files == 2


def test_files_that_are_left_out_are_counted_by_their_ending(tmp_path: Path) -> None:
    listed = contents(
        tmp_path,
        "cat/1.jpg",
        *(f"cat/{number}.HEIC" for number in range(3)),
        "dog/notes.txt",
        "dog/README",
        "4.jpg",
    )
    assert listed.classes == (("cat", 1), ("dog", 0))
    assert listed.left_out == (
        "1 file in no class's folder",
        "3 files .heic",
        "1 file without an ending",
        "1 file .txt",
    )
    assert listed.text() == (
        "1 file; classes: 0 cat (1), 1 dog (0); left out: 1 file in no class's folder,"
        " 3 files .heic, 1 file without an ending, 1 file .txt"
    )


def test_a_folder_of_files_that_cannot_be_read_says_which(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no files of its kind below") as caught:
        contents(tmp_path, "cat/1.heic", "cat/2.heic")
    assert caught.value.hint.endswith("2 files .heic")


def test_many_classes_are_shortened(tmp_path: Path) -> None:
    text = contents(tmp_path, *(f"{number}/1.jpg" for number in range(100))).text()
    assert "classes: 0 (1), 1 (1)" in text
    assert text.endswith("10 (1), … 88 more …, 99 (1)")
