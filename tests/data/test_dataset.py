"""Splits as the model sees them, limits, and every way in which a user's data can be wrong. Faults
18 and 20."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgekit.data.dataset import Dataset, Split, load_dataset, shuffled
from edgekit.errors import ModelError

pytestmark = pytest.mark.torch

FACTORY = """
import numpy as np
from edgekit.data.dataset import Dataset, Split
given = {}
def arrays(n=6): return np.zeros((n, 3, 4, 4), np.uint8), np.arange(n) % 3, np.ones((2, 3, 4, 4), np.float64), [0, 1]
def build(): return given["value"]
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "datasets_mine.py").write_text(FACTORY)
    return tmp_path


def load(
    base: Path, function: str = "arrays", shape: tuple[int, ...] = (3, 4, 4), **options: Any
) -> Dataset:
    return load_dataset(
        f"datasets_mine:{function}",
        options.pop("args", {}),
        shape=shape,
        seed=0,
        base=base,
        **options,
    )


def returning(base: Path, value: Any, **options: Any) -> Dataset:
    """What is loaded when the user's factory returns `value`."""
    load(base)  # imports it
    import sys

    sys.modules["datasets_mine"].given["value"] = value
    return load(base, "build", **options)


def test_pixels_are_scaled_and_normalised_per_channel() -> None:
    inputs = torch.randint(
        0, 256, (5, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    plain, normal = Split(inputs, None, (3, 4, 4)), Split(inputs, None, (3, 4, 4), mean, std)
    torch.testing.assert_close(plain.at(slice(1, 3)), inputs[1:3] / 255)
    expected = (inputs / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(
        normal.at(torch.tensor([4, 0])), expected[[4, 0]], rtol=1e-5, atol=1e-6
    )
    assert normal.at(slice(0, 2)).dtype == torch.float32


def test_one_grey_channel_is_repeated_only_when_asked_for() -> None:
    grey = torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    split = Split(grey, None, (3, 4, 4), (0.0, 0.5, 1.0), (1.0, 1.0, 1.0))
    assert split.at(slice(None)).shape == (2, 3, 4, 4)
    assert split.at(slice(None))[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)
    assert Split(grey, None, (3, 4, 4)).at(slice(None)).is_contiguous()


def test_series_are_normalised_by_feature_and_never_scaled() -> None:
    series = torch.full((2, 5, 3), 8.0)
    split = Split(series, None, (5, 3), (0.0, 4.0, 8.0), (1.0, 2.0, 4.0))
    assert split.at(torch.tensor([1]))[0, 0].tolist() == [8.0, 2.0, 0.0]


def test_the_samples_themselves_are_not_changed() -> None:
    inputs = torch.ones(2, 3)
    Split(inputs, None, (3,)).at(slice(None)).mul_(5)
    Split(inputs, None, (3,), (1.0,) * 3, (2.0,) * 3).at(slice(None)).mul_(5)
    assert torch.equal(inputs, torch.ones(2, 3))


def test_a_users_arrays_become_tensors_of_the_right_types(base: Path) -> None:
    data = load(base, args={"n": 9})
    assert (len(data.train), len(data.test)) == (9, 2)
    assert data.train.inputs.dtype == torch.uint8
    assert data.test.inputs.dtype == torch.float32
    assert data.train.labels is not None
    assert data.train.labels.dtype == torch.int64
    assert data.classes == ("0", "1", "2")


def test_a_users_dataset_is_taken_with_the_recipes_normalisation(base: Path) -> None:
    split = Split(torch.ones(4, 3, 4, 4), torch.tensor([0, 1, 0, 1]), (3, 4, 4))
    data = returning(base, Dataset(split, split, ("cat", "dog")), mean=(1, 1, 1), std=(2, 2, 2))
    assert data.classes == ("cat", "dog")
    assert data.test.at(slice(0, 1)).abs().max() == 0


def test_labels_may_be_missing(base: Path) -> None:
    data = returning(
        base, (np.zeros((3, 5), np.float32), None, np.zeros((2, 5), np.float32), None), shape=(5,)
    )
    assert data.train.labels is None
    assert data.classes == ()


def test_limits_keep_a_seeded_choice(base: Path) -> None:
    inputs = np.arange(100, dtype=np.float32).reshape(100, 1)
    value = (inputs, np.arange(100) % 10, inputs, np.arange(100) % 10)
    data = returning(base, value, shape=(1,), train_limit=30, test_limit=500)
    chosen = shuffled(100, 0)[:30]
    assert torch.equal(data.train.inputs[:, 0], chosen.float())
    assert data.train.labels is not None
    assert torch.equal(data.train.labels, chosen % 10)
    assert len(data.test) == 100
    assert not torch.equal(chosen, shuffled(100, 1)[:30])


ONE = np.zeros((1, 3, 4, 4), np.float32)
BAD: dict[str, tuple[Any, str]] = {
    "empty": ((ONE[:0], [], ONE, [0]), "train split: there are no samples"),
    "shape": (
        (ONE, [0], np.zeros((1, 3, 5, 5)), [0]),
        "test split: a sample is 3×5×5, but input.shape is 3×4×4",
    ),
    "no channel axis": (
        (np.zeros((1, 4, 4)), [0], ONE, [0]),
        "a sample is 4×4, but input.shape is 3×4×4",
    ),
    "numbers": ((np.zeros(3), [0] * 3, ONE, [0]), "a sample is a single number, but"),
    "scalar": ((3.0, [0], ONE, [0]), "train split: there are no samples"),
    "ragged": (([[1, 2], [3]], [0, 1], ONE, [0]), "inputs are not one array"),
    "text": ((np.array(["a"]), [0], ONE, [0]), "inputs are not one array"),
    "nan": (
        (np.concatenate([ONE, ONE * np.nan]), [0, 0], ONE, [0]),
        "sample 1 holds NaN or infinity",
    ),
    "too few labels": ((ONE, [], ONE, [0]), "1 samples, but labels of shape"),
    "one-hot labels": ((ONE, [[0, 1]], ONE, [0]), "labels of shape (1, 2)"),
    "float labels": ((ONE, [0.5], ONE, [0]), "labels must be class numbers from 0 on"),
    "negative labels": ((ONE, [-1], ONE, [0]), "labels must be class numbers from 0 on"),
    "unnamed class": ((ONE, [2], ONE, [0], ["a", "b"]), "label 2 has no name among 2 classes"),
    "three": ((ONE, [0], ONE), "its factory returned tuple"),
    "nothing": (None, "its factory returned NoneType"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_data_is_refused_with_the_split_and_the_reason(case: str, base: Path) -> None:
    value, message = BAD[case]
    with pytest.raises(ModelError) as caught:
        returning(base, value)
    assert message in caught.value.message
    assert "datasets_mine:build" in caught.value.message


def test_normalisation_must_have_a_value_per_channel(base: Path) -> None:
    with pytest.raises(ModelError, match=r"input.mean has 1 values for 3 channels"):
        load(base, mean=[0.5])


def test_an_unknown_name_is_suggested(base: Path) -> None:
    with pytest.raises(ModelError, match="there is no data 'digit'") as caught:
        load_dataset("digit", {}, shape=(1, 8, 8), seed=0, base=base)
    assert caught.value.hint == "did you mean digits?"


def test_arguments_a_built_in_does_not_take(base: Path) -> None:
    with pytest.raises(
        ModelError, match="data digits: got an unexpected keyword argument 'size'"
    ) as caught:
        load_dataset("digits", {"size": 3}, shape=(1, 8, 8), seed=0, base=base)
    assert "test_fraction" in caught.value.hint


def test_splits_count_their_samples() -> None:
    inputs: Tensor = torch.zeros(7, 2)
    assert len(Split(inputs, None, (2,))) == 7
