"""A folder of images that is decoded while it is used: the same pixels in the same order as in
memory, and a damaged image in the middle is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from edgekit.data import image_folder
from edgekit.data.dataset import ArraySplit, Dataset, Split, in_turn
from edgekit.data.load import load_dataset
from edgekit.data.streaming import StreamedSplit
from edgekit.errors import ModelError
from tests.support.splits import one_input

pytestmark = pytest.mark.torch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(10):
        for name, colour in (("red", (200, 9 * number, 0)), ("blue", (0, 9 * number, 200))):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            image = Image.linear_gradient("L").resize((40 + number, 30)).convert("RGB")
            image.paste(colour, (0, 0, 20, 20))
            image.save(tmp_path / "photos" / name / f"{number}.jpg", quality=95)
    return tmp_path


def load(base: Path, workers: int = 0, **options: Any) -> Dataset:
    args = {"path": "photos"} | options.pop("args", {})
    return load_dataset(
        "image_folder",
        args,
        inputs=one_input((3, 24, 20)),
        seed=3,
        base=base,
        workers=workers,
        **options,
    )


def everything(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(split.batches(in_turn(len(split), 4)))
    targets = [batch.targets for batch in batches if batch.targets is not None]
    return torch.cat([batch.inputs["input"] for batch in batches]), torch.cat(targets)


@pytest.mark.parametrize("limits", [{}, {"train_limit": 7, "test_limit": 3}])
def test_the_same_samples_in_the_same_order_as_in_memory(
    limits: dict[str, int], photos: Path
) -> None:
    streamed = load(photos, workers=2, args={"stream": True}, **limits)
    in_memory = load(photos, **limits)
    assert streamed.classes == in_memory.classes == ("blue", "red")
    for split, expected in (
        (streamed.train, in_memory.train),
        (streamed.test, in_memory.test),
    ):
        assert isinstance(split, StreamedSplit)
        assert isinstance(expected, ArraySplit)
        for read, value in zip(everything(split), everything(expected), strict=True):
            assert torch.equal(read, value)
            assert read.dtype == value.dtype


def test_large_folders_are_streamed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded_bytes = 20 * 3 * 24 * 20
    monkeypatch.setattr(image_folder, "LARGE_BYTES", decoded_bytes)
    assert isinstance(load(photos).train, ArraySplit)
    monkeypatch.setattr(image_folder, "LARGE_BYTES", decoded_bytes - 1)
    assert isinstance(load(photos).train, StreamedSplit)
    assert isinstance(load(photos, args={"stream": False}).train, ArraySplit)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_in_the_middle_is_named(workers: int, photos: Path) -> None:
    damaged = photos / "photos" / "red" / "7.jpg"
    damaged.write_bytes(damaged.read_bytes()[:400])
    data = load(photos, workers, args={"stream": True})
    with pytest.raises(ModelError, match=r"sample \d+: damaged image .*red/7\.jpg \(") as caught:
        [everything(split) for split in (data.train, data.test)]
    assert caught.value.exit_code == 3
