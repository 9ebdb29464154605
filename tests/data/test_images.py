"""The image datasets: real ones where they are installed, and folders of images written here, whole
and damaged."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.data import fashion_mnist
from edgekit.data.dataset import Dataset
from edgekit.data.load import load_dataset
from edgekit.errors import ModelError
from tests.support.splits import arrays, one_input, only, targets
from tests.support.tiers import cannot_run

pytestmark = pytest.mark.torch


def load(
    name: str,
    shape: tuple[int, ...],
    base: Path = Path(),
    *,
    seed: int = 0,
    args: dict[str, Any] | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
) -> Dataset:
    return load_dataset(
        name,
        args or {},
        inputs=one_input(shape),
        seed=seed,
        base=base,
        train_limit=train_limit,
        test_limit=test_limit,
    )


def counts(labels: torch.Tensor | None) -> list[int]:
    assert labels is not None
    return torch.bincount(labels).tolist()


def test_digits_are_split_by_class_and_seed() -> None:
    data = load("digits", (1, 8, 8))
    assert (len(data.train), len(data.test)) == (1347, 450)
    assert all(
        abs(test - train / 3) <= 1
        for train, test in zip(counts(targets(data.train)), counts(targets(data.test)), strict=True)
    )
    assert data.classes == tuple("0123456789")
    assert only(data.train.at(slice(None))).aminmax().max == 1
    assert torch.equal(
        only(arrays(data.train).inputs), only(arrays(load("digits", (1, 8, 8)).train).inputs)
    )
    assert not torch.equal(
        only(arrays(data.train).inputs),
        only(arrays(load("digits", (1, 8, 8), seed=1).train).inputs),
    )


def test_smaller_images_are_padded_with_black_never_shrunk() -> None:
    small, large = load("digits", (1, 8, 8)), load("digits", (3, 11, 16))
    assert torch.equal(
        only(arrays(large.train).inputs)[:, :, 1:9, 4:12], only(arrays(small.train).inputs)
    )
    assert int(only(arrays(large.train).inputs).sum()) == int(
        only(arrays(small.train).inputs).sum()
    )
    assert only(large.train.at(slice(0, 2))).shape == (2, 3, 11, 16)
    for shape in ((1, 7, 8), (64,), (8, 8)):
        with pytest.raises(ModelError, match=r"a sample is 1×8×8, but the recipe's input is"):
            load("digits", shape)


def test_fashion_mnist_of_debian() -> None:
    if not fashion_mnist.DEBIAN_FOLDER.is_dir():
        cannot_run("apt-get install dataset-fashion-mnist")
    data = load("fashion_mnist", (3, 32, 32), test_limit=1000)
    assert (len(data.train), len(data.test)) == (60_000, 1000)
    assert counts(targets(data.train)) == [6000] * 10
    assert only(arrays(data.train).inputs).shape == (60_000, 1, 32, 32)
    assert int(only(arrays(data.train).inputs)[:, :, :2].sum()) == 0
    assert only(arrays(data.train).inputs)[0, 0, 2:30, 2:30].float().mean() == pytest.approx(
        97.25, abs=0.1
    )
    assert data.classes[9] == "Ankle boot"


def write_fashion(
    folder: Path, *, images: int = 3, zipped: bool = True, cut: int | None = None
) -> None:
    folder.mkdir(exist_ok=True)
    for part, values in (("train", images), ("t10k", 2)):
        pixels = struct.pack(">4B3I", 0, 0, 8, 3, values, 28, 28) + bytes(range(values)) * 784
        labels = struct.pack(">4BI", 0, 0, 8, 1, values) + bytes(values)
        for name, content in (
            (f"{part}-images-idx3-ubyte", pixels),
            (f"{part}-labels-idx1-ubyte", labels),
        ):
            data = gzip.compress(content) if zipped else content
            (folder / f"{name}{'.gz' if zipped else ''}").write_bytes(data[:cut])


@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist_of_a_folder(zipped: bool, tmp_path: Path) -> None:
    write_fashion(tmp_path / "fashion", zipped=zipped)
    data = load("fashion_mnist", (1, 28, 28), tmp_path, args={"path": "fashion"})
    assert (len(data.train), len(data.test)) == (3, 2)
    assert only(arrays(data.train).inputs).flatten()[:4].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("zipped", "cut"), [(True, 30), (False, 500), (False, 2), (False, 10), (False, 0)]
)
def test_damaged_fashion_mnist_says_how_to_get_it(zipped: bool, cut: int, tmp_path: Path) -> None:
    write_fashion(tmp_path, zipped=zipped, cut=cut)
    with pytest.raises(
        ModelError, match=r"data fashion_mnist: .*train-images-idx3-ubyte"
    ) as caught:
        load("fashion_mnist", (1, 28, 28), tmp_path, args={"path": "."})
    assert "apt-get install dataset-fashion-mnist" in caught.value.hint


def test_missing_fashion_mnist_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*nowhere") as caught:
        load("fashion_mnist", (1, 28, 28), tmp_path, args={"path": "nowhere"})
    assert "apt-get install dataset-fashion-mnist" in caught.value.hint
    # Without the package torchvision downloads; a proxy that nobody serves is as good as no
    # network.
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "not-installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="is not installed and cannot be downloaded") as caught:
        load("fashion_mnist", (1, 28, 28), tmp_path)
    assert "apt-get install dataset-fashion-mnist" in caught.value.hint


def test_crops_of_the_photographs_are_many_seeded_and_without_labels() -> None:
    data = load("sample_photos", (3, 48, 64), args={"train": 12, "test": 4})
    assert only(arrays(data.train).inputs).shape == (12, 3, 48, 64)
    assert arrays(data.train).targets is None
    assert len(data.test) == 4
    assert len({image.numpy().tobytes() for image in only(arrays(data.train).inputs)}) == 12
    assert all(image.float().std() > 10 for image in only(arrays(data.train).inputs))
    again, other = (
        load("sample_photos", (3, 48, 64), seed=seed, args={"train": 12, "test": 4})
        for seed in (0, 1)
    )
    assert torch.equal(only(arrays(data.train).inputs), only(arrays(again.train).inputs))
    assert not torch.equal(only(arrays(data.train).inputs), only(arrays(other.train).inputs))
    with pytest.raises(ModelError, match="the photographs have 3 channels"):
        load("sample_photos", (1, 48, 64))


def write_image(
    path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 30), **options: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i in range(10):
        write_image(tmp_path / "photos" / "red" / f"{i}.jpg", (200, 10 * i, 0), quality=95)
        write_image(tmp_path / "photos" / "blue" / f"{i}.png", (0, 10 * i, 200))
    (tmp_path / "photos" / "red" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / ".hidden").mkdir()
    return tmp_path


def test_a_folder_of_images_is_split_by_class(photos: Path) -> None:
    data = load("image_folder", (3, 24, 24), photos, args={"path": "photos"})
    assert data.classes == ("blue", "red")
    assert (len(data.train), len(data.test)) == (16, 4)
    assert counts(targets(data.train)) == [8, 8]
    for image, label in zip(only(arrays(data.train).inputs), targets(data.train), strict=True):
        assert image[0 if label == 1 else 2].float().mean() > 190


def test_separate_folders_and_limits_before_decoding(photos: Path) -> None:
    shutil.copytree(photos / "photos", photos / "split" / "train")
    shutil.copytree(photos / "photos", photos / "split" / "val")
    data = load("image_folder", (1, 24, 24), photos, args={"path": "split"}, train_limit=5)
    assert (len(data.train), len(data.test)) == (5, 20)
    limited = load("image_folder", (1, 24, 24), photos, args={"path": "split"}, train_limit=5)
    assert torch.equal(only(arrays(limited.train).inputs), only(arrays(data.train).inputs))
    write_image(photos / "split" / "val" / "green" / "1.png", (0, 1, 0))
    with pytest.raises(ModelError, match="has classes that train/ has not: green"):
        load("image_folder", (1, 24, 24), photos, args={"path": "split"})


def test_images_cover_the_input_upright_and_centred(tmp_path: Path) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    for name in ("a", "b"):
        for i in range(2):
            (tmp_path / "p" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "p" / name / f"{i}.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: 60×20 is meant as 20×60
    Image.fromarray(pixels).save(tmp_path / "p" / "a" / "1.png", exif=exif)
    data = load("image_folder", (1, 20, 20), tmp_path, args={"path": "p", "test_fraction": 0.5})
    images = torch.cat([only(arrays(data.train).inputs), only(arrays(data.test).inputs)])
    assert images.float().mean() > 245
    tall = load("image_folder", (3, 64, 32), tmp_path, args={"path": "p", "test_fraction": 0.5})
    assert only(arrays(tall.train).inputs).shape[1:] == (3, 64, 32)


def test_damaged_images_are_named_all_at_once(photos: Path) -> None:
    whole = (photos / "photos" / "red" / "1.jpg").read_bytes()
    (photos / "photos" / "red" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "photos" / "blue" / "2.png").write_bytes(b"")
    (photos / "photos" / "blue" / "3.png").write_text("<html>")
    with pytest.raises(ModelError, match="damaged image") as caught:
        load("image_folder", (3, 24, 24), photos, args={"path": "photos"})
    assert all(name in caught.value.message for name in ("red/1.jpg", "blue/2.png", "blue/3.png"))
    assert "blue/4.png" not in caught.value.message


def test_folders_that_hold_no_dataset(photos: Path) -> None:
    (photos / "empty" / "cat").mkdir(parents=True)
    (photos / "bare").mkdir()
    write_image(photos / "single" / "cat" / "1.png", (1, 1, 1))
    for path, message in (
        ("nowhere", "no such folder"),
        ("bare", "no folders in"),
        ("empty", "no files of its kind below"),
        ("single", "cannot be split for testing"),
    ):
        with pytest.raises(ModelError, match=message):
            load("image_folder", (3, 24, 24), photos, args={"path": path})
    with pytest.raises(ModelError, match="images have 1 or 3 channels"):
        load("image_folder", (4, 24, 24), photos, args={"path": "photos"})
    with pytest.raises(ModelError, match="missing a required argument: 'path'"):
        load("image_folder", (3, 24, 24), photos)


def test_more_images_than_memory_are_refused_before_decoding(photos: Path) -> None:
    with pytest.raises(ModelError, match=r"more than half of the .* of memory that") as caught:
        load(
            "image_folder",
            (3, 1_000_000, 1_000_000),
            photos,
            args={"path": "photos", "stream": False},
        )
    assert "train_limit" in caught.value.hint
