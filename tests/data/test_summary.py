"""What is said of data when it is first used: one line, and what is odd about its values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from edgekit.data.dataset import ArraySplit, Dataset
from edgekit.data.load import load_dataset
from edgekit.data.outline import contents_of
from edgekit.data.summary import summary, value_warnings
from edgekit.errors import ModelError
from tests.support.splits import one_input, one_input_split

pytestmark = pytest.mark.torch

SHAPE = (3, 4, 4)


def images(values: torch.Tensor, std: float | None = None) -> ArraySplit:
    statistics = None if std is None else (std,) * 3
    return one_input_split(values, None, SHAPE, statistics, statistics)


@pytest.mark.parametrize("stream", [True, False])
def test_a_folder_in_one_line(stream: bool, tmp_path: Path) -> None:
    for number in range(5):
        for name in ("cat", "dog"):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "cat" / "9.heic").touch()
    args = {"path": "photos", "stream": stream}
    data = load_dataset("image_folder", args, inputs=one_input(SHAPE), seed=0, base=tmp_path)
    assert summary(data, contents_of("image_folder", args, tmp_path)) == (
        "8 samples for training, 2 for testing; each input 3×4×4 uint8;"
        " classes: 0 cat (4 + 1), 1 dog (4 + 1); left out: 1 file .heic"
    )
    limited = load_dataset(
        "image_folder", args, inputs=one_input(SHAPE), seed=0, base=tmp_path, train_limit=1
    )
    assert summary(limited).startswith("1 samples for training, 2 for testing")
    assert "(1 + 1)" in summary(limited)


def test_data_without_classes(tmp_path: Path) -> None:
    split = images(torch.zeros(3, *SHAPE))
    assert summary(Dataset(split, split, ())) == (
        "3 samples for training, 3 for testing; each input 3×4×4 float32"
    )


def test_a_class_that_is_called_by_its_number(tmp_path: Path) -> None:
    split = images(torch.zeros(3, *SHAPE))
    assert summary(Dataset(split, split, ("0", "dog"))).endswith("classes: 0, 1 dog")


@pytest.mark.parametrize(
    ("values", "std", "warned"),
    [
        (torch.full((2, *SHAPE), 255.0), 0.5, "values reach 509 after mean and std"),
        (torch.full((2, *SHAPE), 255.0), None, "values reach 255 after mean and std"),
        (torch.full((2, *SHAPE), 255.0), 127.5, None),
        (torch.full((2, *SHAPE), 1.0), 0.225, None),
        (torch.full((2, *SHAPE), 255, dtype=torch.uint8), 0.5, None),
        (
            torch.full((2, *SHAPE), 255, dtype=torch.uint8),
            127.5,
            r"write mean: \[0\.500, 0\.500, 0\.500\], std: \[0\.500, 0\.500, 0\.500\]",
        ),
    ],
)
def test_values_that_mean_and_std_do_not_explain(
    values: torch.Tensor, std: float | None, warned: str | None
) -> None:
    warnings = list(value_warnings(images(values, std)))
    assert len(warnings) == (warned is not None)
    assert all(re.search(str(warned), text) for text in warnings)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8])
def test_images_of_other_integers_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    (tmp_path / f"{dtype}.py".replace("torch.", "whole_")).write_text(
        f"import torch\ndef load():\n    x = torch.ones((4, 3, 4, 4), dtype={dtype})\n"
        "    y = torch.zeros(4, dtype=torch.int64)\n    return x, y, x, y\n"
    )
    name = f"whole_{str(dtype).removeprefix('torch.')}:load"
    with pytest.raises(ModelError, match="of which nothing says what is white") as caught:
        load_dataset(name, {}, inputs=one_input(SHAPE), seed=0, base=tmp_path)
    assert "uint8" in caught.value.hint


def test_series_and_rows_may_be_of_integers(tmp_path: Path) -> None:
    (tmp_path / "whole_rows.py").write_text(
        "import torch\ndef load():\n    x = torch.ones((4, 3), dtype=torch.int64)\n"
        "    y = torch.zeros(4)\n    return x, y, x, y\n"
    )
    data = load_dataset("whole_rows:load", {}, inputs=one_input((3,)), seed=0, base=tmp_path)
    assert len(data.train) == 4
