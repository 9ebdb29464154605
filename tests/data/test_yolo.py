"""Labels as YOLO's tools write them: boxes lie where the objects are, and every label that is wrong
is named with its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.data.dataset import Dataset, in_turn
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.errors import ModelError
from tests.support.splits import one_input

pytestmark = pytest.mark.torch


def write_scene(
    root: Path, part: str, number: int, boxes: Sequence[tuple[int, int, int, int]]
) -> None:
    """A black image of 80×40 with white boxes x1, y1, x2, y2."""
    images, labels = root / part / "images", root / part / "labels"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((40, 80), np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 255
    Image.fromarray(pixels).save(images / f"{number}.png")
    lines = [
        f"{place % 2} {(x1 + x2) / 160:.6f} {(y1 + y2) / 80:.6f} {(x2 - x1) / 80:.6f}"
        f" {(y2 - y1) / 40:.6f}"
        for place, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    (labels / f"{number}.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "scenes"
    for number in range(8):
        boxes = [(4 * number, 4, 4 * number + 20, 24), (60, 0, 80, 40)]
        write_scene(root, "train", number, boxes[: 1 + number % 2])
    write_scene(root, "test", 0, [])
    (root / "test" / "labels" / "0.txt").unlink()
    (root / "data.yaml").write_text("nc: 2\nnames: {0: car, 1: dog}\n")
    return root


def load(folder: Path, workers: int = 0, **args: Any) -> Dataset:
    return load_dataset(
        "yolo",
        {"path": folder.name} | args,
        inputs=one_input((1, 80, 80)),
        seed=0,
        base=folder.parent,
        workers=workers,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_boxes_lie_where_the_objects_are(workers: int, folder: Path) -> None:
    data = load(folder, workers)
    assert data.classes == ("car", "dog")
    [batch] = data.train.batches(in_turn(8, 8))
    rows = batch.targets
    assert rows is not None
    assert (rows.shape, rows.dtype) == ((8, 2, 5), torch.float32)
    assert rows[1].tolist() == [[0, 4, 24, 24, 44], [1, 60, 20, 80, 60]]
    assert rows[2].tolist() == [[0, 8, 24, 28, 44], [-1, 0, 0, 0, 0]]
    for image, objects in zip(batch.inputs["input"][:, 0], rows.int().tolist(), strict=True):
        covered = torch.zeros_like(image)
        for label, x1, y1, x2, y2 in objects:
            covered[y1:y2, x1:x2] = 255 if label >= 0 else 0
        assert torch.equal(image, covered)
    empty = data.test.take(slice(1)).targets
    assert empty is not None
    assert empty.tolist() == [[[-1, 0, 0, 0, 0]] * 2]


def test_a_number_of_rows_of_ones_own(folder: Path) -> None:
    targets = load(folder, max_objects=5).train.take(slice(1)).targets
    assert targets is not None
    assert targets.shape == (1, 5, 5)
    with pytest.raises(ModelError, match="an image has 2 objects, more than max_objects: 1"):
        load(folder, max_objects=1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "expected five numbers"),
        ("0 0.5 0.5 0.2 wide", "expected five numbers"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", "expected five numbers"),
        ("2 0.5 0.5 0.2 0.2", "class 2, but there are 2 classes"),
        ("0.5 0.5 0.5 0.2 0.2", r"class 0\.5, but"),
        ("-1 0.5 0.5 0.2 0.2", "class -1, but"),
        ("0 0.5 0.5 0 0.2", "a box without area"),
        ("0 0.5 0.5 0.2 nan", "a box without area"),
        ("0 0.95 0.5 0.2 0.2", "a box that reaches out of the image"),
        ("0 1.5 0.5 0.2 0.2", "a box that reaches out of the image"),
    ],
)
def test_a_wrong_line_is_named(line: str, message: str, folder: Path) -> None:
    (folder / "train" / "labels" / "3.txt").write_text(f"0 0.5 0.5 0.2 0.2\n\n{line}\n")
    with pytest.raises(ModelError, match=rf"labels/3\.txt, line 3: {message}") as caught:
        load(folder)
    assert caught.value.exit_code == 3
    with pytest.raises(ModelError, match=r"labels/3\.txt, line 3"):
        outline_of("yolo", {"path": "scenes"}, folder.parent)


def test_a_box_that_rounding_puts_over_the_border_is_cut(folder: Path) -> None:
    (folder / "train" / "labels" / "0.txt").write_text("0 0.5 0.5 1.000001 1.000001\n")
    targets = load(folder).train.take(slice(1)).targets
    assert targets is not None
    assert targets[0, 0].tolist() == [0, 0, 20, 80, 60]


def test_files_that_cannot_be_read(folder: Path) -> None:
    (folder / "train" / "labels" / "3.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"labels/3\.txt: cannot be read"):
        load(folder)
    (folder / "train" / "labels" / "3.txt").unlink()
    image = folder / "train" / "images" / "3.png"
    image.write_bytes(image.read_bytes()[:50])
    data = load(folder, workers=1)
    with pytest.raises(ModelError, match=r"sample 3: damaged image .*images/3\.png"):
        list(data.train.batches(in_turn(8, 3)))


def test_names_of_classes(folder: Path) -> None:
    assert load(folder, classes=["a", "b"]).classes == ("a", "b")
    outline = outline_of("yolo", {"path": "scenes"}, folder.parent)
    assert outline is not None
    assert outline.classes == 2
    for content, message in (
        ("names: {1: car}\n", "neither a list nor a mapping from 0"),
        ("names: [car, dog\n", "cannot be read"),
        ("names: []\n", "the names of the classes are missing"),
    ):
        (folder / "data.yaml").write_text(content)
        with pytest.raises(ModelError, match=message):
            load(folder)


def test_no_objects_at_all(folder: Path) -> None:
    for label in (folder / "train" / "labels").iterdir():
        label.unlink()
    with pytest.raises(ModelError, match="no image has an object"):
        load(folder)


def test_a_label_counts_for_the_cache(folder: Path) -> None:
    before = dataset_fingerprint("yolo", {"path": "scenes"}, folder.parent)
    (folder / "train" / "labels" / "3.txt").write_text("")
    assert dataset_fingerprint("yolo", {"path": "scenes"}, folder.parent) != before
