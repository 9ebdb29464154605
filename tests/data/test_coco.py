"""COCO's JSON: each kind of target lies where the objects are, and whatever is wrong with it is
named by image and annotation before training."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.data.dataset import Dataset, in_turn
from edgekit.data.load import load_dataset
from edgekit.data.outline import outline_of
from edgekit.errors import ModelError
from edgekit.installing import install_command
from tests.support.splits import one_input

pytestmark = pytest.mark.torch

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
"""A polygon whose box is 10, 10, 20, 20."""


def annotation(number: int, image: int, category: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [10, 10, 20, 20],
        "iscrowd": 0,
        "segmentation": [SQUARE],
    } | more


CROWD = {
    "iscrowd": 1,
    "bbox": [60, 0, 20, 40],
    "segmentation": {"size": [40, 80], "counts": [60 * 40, 20 * 40]},
}
DOCUMENT: dict[str, Any] = {
    "images": [{"id": 4 + n, "file_name": f"{n}.png", "height": 40, "width": 80} for n in range(3)],
    "annotations": [
        annotation(100, 4, 90),
        annotation(101, 4, 7, bbox=[40, 20, 10, 10],
                   segmentation=[[40, 20, 50, 20, 50, 30, 40, 30]]),
        annotation(102, 5, 7, **CROWD),
        annotation(103, 5, 90, keypoints=[12, 14, 2, 0, 0, 0, 28, 29, 1]),
        # The large one comes last, and lies under the small one all the same.
        annotation(104, 5, 7, bbox=[0, 0, 40, 40], segmentation=[[0, 0, 40, 0, 40, 40, 0, 40]]),
    ],
    "categories": [
        {"id": 90, "name": "person", "keypoints": ["nose", "eye", "hip"]},
        {"id": 7, "name": "car"},
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(3):
        pixels = np.zeros((40, 80), np.uint8)
        pixels[10:30, 10:30] = 255
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    write(tmp_path, DOCUMENT)
    return tmp_path


def write(folder: Path, document: dict[str, Any]) -> None:
    for part in ("train", "test"):
        (folder / f"{part}.json").write_text(json.dumps(document))


ARGS = {
    "train_annotations": "train.json",
    "train_images": "images",
    "test_annotations": "test.json",
    "test_images": "images",
}


def load(folder: Path, workers: int = 0, **args: Any) -> Dataset:
    return load_dataset(
        "coco", ARGS | args, inputs=one_input((1, 80, 80)), seed=0, base=folder, workers=workers
    )


def samples(data: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    [batch] = data.train.batches(in_turn(len(data.train), 8))
    assert batch.targets is not None
    return batch.inputs["input"], batch.targets


@pytest.mark.parametrize("workers", [0, 1])
def test_boxes(workers: int, folder: Path) -> None:
    data = load(folder, workers)
    images, boxes = samples(data)
    assert data.classes == ("car", "person"), "in the order of the ids"
    assert boxes.dtype == torch.float32
    nothing = [-1, 0, 0, 0, 0]
    assert boxes.tolist() == [
        [[1, 10, 30, 30, 50], [0, 40, 40, 50, 50]],
        [[1, 10, 30, 30, 50], [0, 0, 20, 40, 60]],  # without the crowd
        [nothing, nothing],
    ]
    assert bool((images[:, 0, 30:50, 10:30] == 255).all())
    assert int((images == 255).sum()) == 3 * 400
    with pytest.raises(ModelError, match="an image has 2 objects, more than max_objects: 1"):
        load(folder, max_objects=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_masks(workers: int, folder: Path) -> None:
    data = load(folder, workers, target="masks")
    _, masks = samples(data)
    assert data.classes == ("background", "car", "person")
    assert (masks.shape, masks.dtype) == ((3, 80, 80), torch.uint8)
    expected = torch.full((3, 80, 80), 255, dtype=torch.uint8)
    expected[:, 20:60] = 0
    expected[0, 30:50, 10:30] = 2
    expected[0, 40:50, 40:50] = 1
    expected[1, 20:60, 0:40] = 1
    expected[1, 30:50, 10:30] = 2
    expected[1, 20:60, 60:80] = 255
    assert torch.equal(masks, expected)


def test_a_compressed_mask_is_the_same(folder: Path) -> None:
    from faster_coco_eval.core import mask

    document = copy.deepcopy(DOCUMENT)
    runs = mask.frPyObjects(CROWD["segmentation"], 40, 80)
    before = samples(load(folder, target="masks"))[1]
    document["annotations"][2]["segmentation"]["counts"] = runs["counts"].decode()
    write(folder, document)
    assert torch.equal(samples(load(folder, target="masks"))[1], before)


def test_keypoints_of_each_person(folder: Path) -> None:
    data = load(folder, target="keypoints")
    images, points = samples(data)
    assert (len(data.train), data.classes) == (1, ("nose", "eye", "hip"))
    # The box 10…30 with 2.5 around it, in whole pixels: 7…33, so 26 pixels become 80.
    scale = 80 / 26
    assert points.dtype == torch.float32
    expected = torch.tensor(
        [[5 * scale, 7 * scale, 1.0], [0.0, 0.0, 0.0], [21 * scale, 22 * scale, 1.0]]
    )
    assert torch.allclose(points[0], expected)
    assert bool((images[0, 0, 14:66, 14:66] == 255).all())
    assert int(images[0, 0, :6].sum()) == 0


def test_labels(folder: Path) -> None:
    data = load(folder, target="labels")
    assert samples(data)[1].tolist() == [[1, 1], [1, 1], [0, 0]]
    assert data.classes == ("car", "person")


@pytest.mark.parametrize(
    ("args", "classes"), [({}, 2), ({"target": "masks"}, 3), ({"target": "keypoints"}, 0)]
)
def test_an_outline(args: dict[str, str], classes: int, folder: Path) -> None:
    outline = outline_of("coco", ARGS | args, folder)
    assert outline is not None
    assert outline.classes == classes


Change = Callable[[dict[str, Any]], Any]
WRONG: list[tuple[Change, str]] = [
    (lambda d: d["annotations"][1].update(bbox=[40, 20, 0, 9]),
     "image 4, annotation 101: a box without area: 40, 20, 0, 9"),
    (lambda d: d["annotations"][1].update(bbox=[90, 20, 5, 5]),
     "image 4, annotation 101: a box that reaches out of the image"),
    (lambda d: d["annotations"][1].update(category_id=3),
     "image 4, annotation 101: there is no category 3"),
    (lambda d: d["annotations"][1].update(image_id=77),
     "image 77, annotation 101: there is no such image"),
    (lambda d: d["images"][1].update(file_name="5.png"), r"image 5: there is no file .*5\.png"),
    (lambda d: d["images"][1].update(id=4), "several images have one id"),
    (lambda d: d.update(annotations=[]), r"train\.json: annotations: List should have at least 1"),
    (lambda d: d.pop("categories"), r"train\.json: categories: Field required"),
    (lambda d: d["annotations"][1].update(bbox=[1, 2, 3]), r"annotations\.1\.bbox\.3: Field"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_annotations_are_named_before_training(
    change: Change, message: str, folder: Path
) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    write(folder, document)
    with pytest.raises(ModelError, match=message) as caught:
        load(folder)
    assert caught.value.exit_code == 3
    with pytest.raises(ModelError, match=message):
        outline_of("coco", ARGS, folder)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "a polygon needs three points"),
        ([[1, 1, 5, 5]], "a polygon needs three points"),
        ({"size": [40, 80], "counts": [1, 5]}, "run lengths do not fill the image"),
        ({"size": [4, 8], "counts": [1, 31]}, "the mask is 8×4, the image 80×40"),
        ({"size": [40, 80], "counts": "zzzz"}, "cannot be drawn"),
    ],
)
def test_wrong_masks_are_named(segmentation: Any, message: str, folder: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["annotations"][1]["segmentation"] = segmentation
    write(folder, document)
    with pytest.raises(ModelError, match=f"image 4, annotation 101: .*{message}"):
        load(folder, target="masks")


def test_all_faults_are_told_at_once(folder: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    for item in document["annotations"]:
        item["category_id"] = 1
    write(folder, document)
    with pytest.raises(ModelError, match=r"annotation 100: .*; .*annotation 104: "):
        load(folder)


def test_keypoints_that_do_not_fit(folder: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["annotations"][3]["keypoints"] = [1, 2, 2]
    write(folder, document)
    with pytest.raises(ModelError, match="annotation 103: 3 numbers of keypoints, but 3 points"):
        load(folder, target="keypoints")
    document["annotations"][3]["keypoints"] = []
    write(folder, document)
    with pytest.raises(ModelError, match="no annotation has a marked keypoint"):
        load(folder, target="keypoints")


def test_files_that_do_not_fit(folder: Path) -> None:
    with pytest.raises(ModelError, match="there is no target 'box'") as caught:
        load(folder, target="box")
    assert "boxes, masks, keypoints, labels" in caught.value.hint
    with pytest.raises(ModelError, match=r"nowhere\.json: cannot be read: No such file"):
        load(folder, train_annotations="nowhere.json")
    Image.new("L", (40, 40)).save(folder / "images" / "1.png")
    with pytest.raises(ModelError, match=r"sample 1: .*1\.png: the image is 40×40, but image 5"):
        samples(load(folder, workers=1))
    (folder / "images" / "1.png").write_bytes(b"GIF89a")
    with pytest.raises(ModelError, match=r"sample 1: damaged image .*1\.png"):
        samples(load(folder, workers=1))
    (folder / "test.json").write_text(json.dumps(DOCUMENT | {"categories": [
        {"id": 7, "name": "lorry"}, {"id": 90, "name": "person"}]}))  # fmt: skip
    with pytest.raises(ModelError, match=r"test\.json has other categories than"):
        load(folder)
    (folder / "train.json").write_text('{"images": [')
    with pytest.raises(ModelError, match=r"train\.json: the file: Invalid JSON"):
        load(folder)


def test_without_the_package_that_draws_masks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval.core", None)
    with pytest.raises(ModelError, match="masks need the package faster-coco-eval") as caught:
        load(folder, target="masks")
    assert caught.value.hint == install_command("detection")
    assert len(load(folder).train) == 3
