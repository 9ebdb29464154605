"""Images with masks: both lie in the same place, and every file that does not fit is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.data.dataset import Batch, Dataset, in_turn
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.errors import ModelError
from tests.support.splits import one_input

pytestmark = pytest.mark.torch

CLASSES = ["background", "square"]


def write_pair(part: Path, number: int, *, palette: bool) -> None:
    """A grey image of 40×20 with a white square, and its mask."""
    mask = np.zeros((20, 40), np.uint8)
    mask[5:15, 10 + number : 20 + number] = 1
    for folder in ("images", "masks"):
        (part / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(50 + 200 * mask).convert("RGB").save(part / "images" / f"{number}.png")
    image = Image.fromarray(mask)
    if palette:
        image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(part / "masks" / f"{number}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(9):
        write_pair(tmp_path / "scenes" / "train", number, palette=number % 2 == 0)
    write_pair(tmp_path / "scenes" / "val", 0, palette=True)
    return tmp_path / "scenes"


def load(folder: Path, workers: int = 0, **args: Any) -> Dataset:
    return load_dataset(
        "mask_folder",
        {"path": folder.name, "classes": CLASSES} | args,
        inputs=one_input((3, 40, 40)),
        seed=0,
        base=folder.parent,
        workers=workers,
    )


def train_batches(data: Dataset) -> list[Batch]:
    return list(data.train.batches(in_turn(len(data.train), 4)))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_and_its_mask_lie_in_the_same_place(workers: int, folder: Path) -> None:
    data = load(folder, workers)
    assert data.classes == ("background", "square")
    assert (len(data.train), len(data.test), data.train.class_count) == (9, 1, 0)
    for batch in train_batches(data):
        masks, images = batch.targets, batch.inputs["input"]
        assert masks is not None
        assert (masks.dtype, images.dtype) == (torch.uint8, torch.uint8)
        assert masks.shape[1:] == (40, 40)
        assert bool((masks[:, :10] == 255).all())
        assert bool((masks[:, 30:] == 255).all())
        assert [int(count) for count in (masks == 1).sum(dim=(1, 2))] == [100] * len(masks)
        assert torch.equal(images[:, 0] == 250, masks == 1)
        assert bool((images[:, :, :10] == 0).all())


def test_classes_of_a_file_and_the_other_layout(folder: Path) -> None:
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
        for part in ("train", "val"):
            (folder / part / kind).rename(folder / kind / part)
    (folder / "classes.txt").write_text("background\nsquare\n\n")
    assert load(folder, classes=None).classes == ("background", "square")
    outline = outline_of("mask_folder", {"path": "scenes"}, folder.parent)
    assert outline is not None
    assert (outline.classes, outline.labelled) == (2, True)
    (folder / "classes.txt").unlink()
    with pytest.raises(ModelError, match="names of the classes are missing"):
        load(folder, classes=None)


def cut(mask: Path) -> None:
    mask.write_bytes(mask.read_bytes()[:40])


def empty_image(mask: Path) -> None:
    (mask.parents[1] / "images" / mask.name).write_bytes(b"")


def other_size(mask: Path) -> None:
    Image.new("L", (20, 20)).save(mask)


def other_class(mask: Path) -> None:
    Image.new("L", (40, 20), 2).save(mask)


def colours(mask: Path) -> None:
    Image.new("RGB", (40, 20)).save(mask)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"damaged image .*train/masks/7\.png"),
        (empty_image, r"damaged image .*train/images/7\.png"),
        (other_size, r"masks/7\.png: the mask is 20×20, but 7\.png is 40×20"),
        (other_class, r"masks/7\.png: the mask has class 2, but there are 2 classes"),
        (colours, r"masks/7\.png: a mask of colours"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_does_not_fit_is_named(
    damage: Callable[[Path], None], message: str, workers: int, folder: Path
) -> None:
    damage(folder / "train" / "masks" / "7.png")
    data = load(folder, workers)
    with pytest.raises(ModelError, match=f"train split, sample 7: .*{message}") as caught:
        train_batches(data)
    assert caught.value.exit_code == 3


def test_a_missing_mask_is_named_before_anything_is_read(folder: Path) -> None:
    (folder / "train" / "masks" / "7.png").unlink()
    with pytest.raises(ModelError, match=r"masks are missing: .*train/masks/7\.png"):
        load(folder)


def test_folders_that_hold_no_masks(folder: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load(folder, path="nowhere")
    with pytest.raises(ModelError, match="images have 1 or 3 channels"):
        load_dataset("mask_folder", {"path": "x"}, inputs=one_input((2, 8, 8)), seed=0)
    for file in (folder / "val" / "images").iterdir():
        file.unlink()
    with pytest.raises(ModelError, match=r"no images below .*val/images"):
        load(folder)
