"""Scenes of garments: the same for one seed, exact boxes and masks, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.data.dataset import Dataset
from edgekit.data.fashion_mnist import DEBIAN_FOLDER
from edgekit.data.fashion_scenes import BACKGROUND, CLOTH, MOST_OVERLAP, outline
from edgekit.data.load import load_dataset
from edgekit.errors import ModelError
from edgekit.sample_steps.decoding.boxes import overlaps
from edgekit.tasks.segmentation import SEGMENTATION
from tests.support.splits import one_input
from tests.support.tiers import cannot_run

pytestmark = pytest.mark.torch
SHAPE = (1, 64, 96)


@pytest.fixture(autouse=True)
def garments() -> None:
    if not DEBIAN_FOLDER.is_dir():
        cannot_run("needs Fashion-MNIST: apt-get install dataset-fashion-mnist")


def scenes(target: str, *, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Dataset:
    args = {"target": target, "train": 40, "test": 20}
    return load_dataset("fashion_scenes", args, inputs=one_input(shape), seed=seed)


def test_a_scene_follows_from_the_seed_and_its_number() -> None:
    first, again = scenes("boxes"), scenes("boxes")
    assert (len(first.train), len(first.test), len(first.classes)) == (40, 20, 10)
    batch = first.train.take(slice(0, 40))
    assert batch.inputs["input"].shape == (40, *SHAPE)
    assert batch.inputs["input"].dtype == torch.uint8
    assert torch.equal(batch.inputs["input"][7:8], again.train.take(slice(7, 8)).inputs["input"])
    for other in (scenes("boxes", seed=1).train, first.test):
        assert not torch.equal(batch.inputs["input"][:1], other.take(slice(1)).inputs["input"])


def test_boxes_are_exact_and_hardly_overlap() -> None:
    batch = scenes("boxes").train.take(slice(0, 40))
    assert batch.targets is not None
    assert batch.targets.shape == (40, 4, 5)
    counts = set()
    for pixels, rows in zip(batch.inputs["input"][:, 0], batch.targets, strict=True):
        boxes = rows[rows[:, 0] >= 0, 1:].numpy()
        counts.add(len(boxes))
        shared = overlaps(boxes.astype(float), boxes.astype(float)) - np.eye(len(boxes))
        assert shared.max() <= MOST_OVERLAP
        bright = pixels.numpy() >= BACKGROUND
        assert bright.any()
        inside = np.zeros_like(bright)
        for left, top, right, bottom in boxes.astype(int):
            part = pixels[top:bottom, left:right].numpy() > CLOTH
            assert part[[0, -1]].any(axis=1).all(), "the box touches the garment above and below"
            assert part[:, [0, -1]].any(axis=0).all(), "and on both sides"
            inside[top:bottom, left:right] = True
        assert not bright[~inside].any(), "nothing but background lies outside the boxes"
    assert counts == {1, 2, 3, 4}


def test_masks_are_those_of_the_same_scenes() -> None:
    with_boxes = scenes("boxes").test.take(slice(0, 20))
    dataset = scenes("masks")
    with_masks = dataset.test.take(slice(0, 20))
    assert dataset.classes[:2] == ("background", "T-shirt/top")
    assert torch.equal(with_boxes.inputs["input"], with_masks.inputs["input"])
    assert with_boxes.targets is not None
    assert with_masks.targets is not None
    assert with_masks.targets.dtype == torch.uint8
    SEGMENTATION.check_targets(with_masks.targets.numpy(), {})
    for rows, mask in zip(with_boxes.targets, with_masks.targets, strict=True):
        classes = {int(number) + 1 for number in rows[rows[:, 0] >= 0, 0]}
        assert set(mask.unique().tolist()) == classes | {0}


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        ("poses", SHAPE, "there is no target 'poses'"),
        ("boxes", (3, 64, 64), "one channel and at least 32×32 pixels"),
        ("boxes", (1, 24, 24), "but the recipe's input is 1×24×24"),
    ],
)
def test_what_cannot_be_asked_for(target: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        scenes(target, shape=shape)


def test_the_target_tells_the_task() -> None:
    kinds = {target: outline({"target": target}, Path()) for target in ("boxes", "masks")}
    assert [known.task for known in kinds.values() if known] == ["detection", "segmentation"]
    assert outline({}, Path()) is None
