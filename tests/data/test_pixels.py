"""Image files of every depth and colour that Pillow writes: their pixels as anyone sees them, or a
refusal that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.data.mask_folder import read_mask
from edgekit.data.pixels import eight_bits, opened
from edgekit.errors import ModelError

SQUARE = (2, 2)


def pixel(path: Path, channels: int = 3) -> Any:
    """The first pixel, as a list of its channels."""
    return np.atleast_1d(np.asarray(eight_bits(opened(path), channels, path))[0, 0]).tolist()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_grey_of_16_bits_keeps_its_upper_8(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep.{suffix}"
    values = np.array([[0x1234, 0xFFFF], [0, 0x00FF]], np.uint16)
    Image.fromarray(values).save(path)
    grey = np.asarray(eight_bits(opened(path), 1, path))
    assert grey.tolist() == [[0x12, 0xFF], [0, 0]]
    assert pixel(path) == [0x12] * 3


def test_big_endian_of_16_bits(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (1, 1), b"\x12\x34")
    assert np.asarray(eight_bits(image, 1, tmp_path)).tolist() == [[0x12]]


@pytest.mark.parametrize(("mode", "dtype"), [("I", np.int32), ("F", np.float32)])
def test_32_bits_are_refused_by_the_files_name(mode: str, dtype: Any, tmp_path: Path) -> None:
    path = tmp_path / "depth.tif"
    Image.fromarray(np.full(SQUARE, 200, dtype)).save(path)
    assert opened(path).mode == mode
    with pytest.raises(ModelError, match=rf"depth\.tif: 32 bits a pixel .*mode {mode}\)"):
        pixel(path)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    path = tmp_path / "icon.png"
    for image, shown in (
        (Image.new("RGBA", SQUARE, (255, 0, 0, 0)), [255, 255, 255]),
        (Image.new("RGBA", SQUARE, (200, 10, 20, 255)), [200, 10, 20]),
        (Image.new("RGBA", SQUARE, (0, 0, 0, 51)), [204, 204, 204]),
        (Image.new("LA", SQUARE, (0, 0)), [255, 255, 255]),
        (Image.new("LA", SQUARE, (9, 255)), [9, 9, 9]),
    ):
        image.save(path)
        assert pixel(path) == shown
    assert pixel(path, channels=1) == [9]


def test_palettes_with_and_without_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", SQUARE, 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    for suffix in ("png", "gif"):
        path = tmp_path / f"palette.{suffix}"
        image.save(path)
        assert pixel(path) == [10, 200, 30]
    image.save(tmp_path / "clear.png", transparency=1)
    assert pixel(tmp_path / "clear.png") == [255, 255, 255]
    Image.new("RGB", SQUARE, (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert pixel(tmp_path / "key.png") == [255, 255, 255]


def test_colours_of_a_printer(tmp_path: Path) -> None:
    path = tmp_path / "print.tif"
    Image.new("CMYK", SQUARE, (0, 255, 255, 0)).save(path)
    assert pixel(path) == [255, 0, 0]
    assert pixel(path, channels=1) == [76]


def test_black_and_white_of_one_bit(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    Image.new("1", SQUARE, 1).save(path)
    assert pixel(path) == [255, 255, 255]


def test_colours_of_the_eye(tmp_path: Path) -> None:
    path = tmp_path / "lab.tif"
    Image.new("LAB", SQUARE, (255, 128, 128)).save(path)
    assert min(pixel(path)) > 250
    assert min(pixel(path, channels=1)) > 250


def test_colours_that_cannot_be_converted_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"odd\.tif: its colours \(Pillow's mode La\)"):
        eight_bits(Image.new("La", SQUARE), 3, Path("odd.tif"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "PA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_usual_mode_becomes_grey_or_rgb(mode: str, channels: int) -> None:
    shown = eight_bits(Image.new(mode, SQUARE), channels, Path("x.png"))
    assert (shown.mode, shown.size) == ("L" if channels == 1 else "RGB", SQUARE)


def test_masks_of_16_bits_are_numbers_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, 1], [255, 1]], np.uint16)).save(path)
    assert read_mask(path, classes=2).tolist() == [[0, 1], [255, 1]]
    Image.fromarray(np.array([[0, 24_001]], np.uint16)).save(path)
    with pytest.raises(ModelError, match="the mask has class 24001, but there are 2 classes"):
        read_mask(path, classes=2)
