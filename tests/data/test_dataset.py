"""Splits as the model sees them, limits, and every way in which a user's data can be wrong. Faults
18 and 20."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgekit.data.dataset import Dataset, shuffled
from edgekit.data.load import load_dataset
from edgekit.data.source import InputSpec
from edgekit.errors import ModelError
from tests.support.splits import arrays, one_input, one_input_split, only, targets

pytestmark = pytest.mark.torch

FACTORY = """
import numpy as np
from edgekit.data.dataset import Dataset, Split
given = {}
def arrays(n=6):
    test = np.ones((2, 3, 4, 4), np.float64)
    return np.zeros((n, 3, 4, 4), np.uint8), np.arange(n) % 3, test, [0, 1]
def build(): return given["value"]
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "datasets_mine.py").write_text(FACTORY)
    return tmp_path


def load(
    base: Path,
    function: str = "arrays",
    shape: tuple[int, ...] = (3, 4, 4),
    *,
    inputs: dict[str, InputSpec] | None = None,
    **options: Any,
) -> Dataset:
    normal = {key: options.pop(key) for key in ("mean", "std") if key in options}
    return load_dataset(
        f"datasets_mine:{function}",
        options.pop("args", {}),
        inputs=inputs or one_input(shape, **normal),
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
    plain, normal = (
        one_input_split(inputs, None, (3, 4, 4)),
        one_input_split(inputs, None, (3, 4, 4), mean, std),
    )
    torch.testing.assert_close(only(plain.at(slice(1, 3))), inputs[1:3] / 255)
    expected = (inputs / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(
        only(normal.at(torch.tensor([4, 0]))), expected[[4, 0]], rtol=1e-5, atol=1e-6
    )
    assert only(normal.at(slice(0, 2))).dtype == torch.float32


def test_one_grey_channel_is_repeated_only_when_asked_for() -> None:
    grey = torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    split = one_input_split(grey, None, (3, 4, 4), (0.0, 0.5, 1.0), (1.0, 1.0, 1.0))
    assert only(split.at(slice(None))).shape == (2, 3, 4, 4)
    assert only(split.at(slice(None)))[0, :, 0, 0].tolist() == pytest.approx(
        [1.0, 0.5, 0.0], abs=1e-6
    )
    assert only(one_input_split(grey, None, (3, 4, 4)).at(slice(None))).is_contiguous()


def test_series_are_normalised_by_feature_and_never_scaled() -> None:
    series = torch.full((2, 5, 3), 8.0)
    split = one_input_split(series, None, (5, 3), (0.0, 4.0, 8.0), (1.0, 2.0, 4.0))
    assert only(split.at(torch.tensor([1])))[0, 0].tolist() == [8.0, 2.0, 0.0]


def test_the_samples_themselves_are_not_changed() -> None:
    inputs = torch.ones(2, 3)
    only(one_input_split(inputs, None, (3,)).at(slice(None))).mul_(5)
    only(one_input_split(inputs, None, (3,), (1.0,) * 3, (2.0,) * 3).at(slice(None))).mul_(5)
    assert torch.equal(inputs, torch.ones(2, 3))


def test_a_users_arrays_become_tensors_of_the_right_types(base: Path) -> None:
    data = load(base, args={"n": 9})
    assert (len(data.train), len(data.test)) == (9, 2)
    assert only(arrays(data.train).inputs).dtype == torch.uint8
    assert only(arrays(data.test).inputs).dtype == torch.float32
    assert targets(data.train).dtype == torch.int64
    assert data.classes == ("0", "1", "2")


def test_a_users_dataset_is_taken_with_the_recipes_normalisation(base: Path) -> None:
    split = one_input_split(torch.ones(4, 3, 4, 4), torch.tensor([0, 1, 0, 1]), (3, 4, 4))
    data = returning(base, Dataset(split, split, ("cat", "dog")), mean=(1, 1, 1), std=(2, 2, 2))
    assert data.classes == ("cat", "dog")
    assert only(data.test.at(slice(0, 1))).abs().max() == 0


def test_labels_may_be_missing(base: Path) -> None:
    data = returning(
        base, (np.zeros((3, 5), np.float32), None, np.zeros((2, 5), np.float32), None), shape=(5,)
    )
    assert arrays(data.train).targets is None
    assert data.classes == ()


def test_limits_keep_a_seeded_choice(base: Path) -> None:
    inputs = np.arange(100, dtype=np.float32).reshape(100, 1)
    value = (inputs, np.arange(100) % 10, inputs, np.arange(100) % 10)
    data = returning(base, value, shape=(1,), train_limit=30, test_limit=500)
    chosen = shuffled(100, 0)[:30]
    assert torch.equal(only(arrays(data.train).inputs)[:, 0], chosen.float())
    assert torch.equal(targets(data.train), chosen % 10)
    assert len(data.test) == 100
    assert not torch.equal(chosen, shuffled(100, 1)[:30])


ONE = np.zeros((1, 3, 4, 4), np.float32)
BAD: dict[str, tuple[Any, str]] = {
    "empty": ((ONE[:0], [], ONE, [0]), "train split: there are no samples"),
    "shape": (
        (ONE, [0], np.zeros((1, 3, 5, 5)), [0]),
        "test split: a sample is 3×5×5, but the recipe's input is 3×4×4",
    ),
    "no channel axis": (
        (np.zeros((1, 4, 4)), [0], ONE, [0]),
        "a sample is 4×4, but the recipe's input is 3×4×4",
    ),
    "numbers": ((np.zeros(3), [0] * 3, ONE, [0]), "a sample is a single number, but"),
    "scalar": ((3.0, [0], ONE, [0]), "train split: there are no samples"),
    "ragged": (([[1, 2], [3]], [0, 1], ONE, [0]), "inputs are not one array"),
    "text": ((np.array(["a"]), [0], ONE, [0]), "inputs are not one array"),
    "nan": (
        (np.concatenate([ONE, ONE * np.nan]), [0, 0], ONE, [0]),
        "sample 1 holds NaN or infinity",
    ),
    "too few targets": ((ONE, [], ONE, [0]), "1 samples, but targets of shape (0,)"),
    "one target for all": ((ONE, 3, ONE, [0]), "1 samples, but targets of shape ()"),
    "endless target": ((ONE, [math.inf], ONE, [0]), "target 0 holds NaN or infinity"),
    "complex target": ((ONE, [1j], ONE, [0]), "targets are complex numbers"),
    "unnamed class": ((ONE, [2], ONE, [0], ["a", "b"]), "label 2 has no name among 2 classes"),
    "three": ((ONE, [0], ONE), "which is no map-style dataset"),
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
    with pytest.raises(ModelError, match=r"input input: mean has 1 values for 3 channels"):
        load(base, mean=[0.5])


def test_an_unknown_name_is_suggested(base: Path) -> None:
    with pytest.raises(ModelError, match="there is no data 'digit'") as caught:
        load_dataset("digit", {}, inputs=one_input((1, 8, 8)), seed=0, base=base)
    assert caught.value.hint == "did you mean digits?"


def test_arguments_a_built_in_does_not_take(base: Path) -> None:
    with pytest.raises(
        ModelError, match="data digits: got an unexpected keyword argument 'size'"
    ) as caught:
        load_dataset("digits", {"size": 3}, inputs=one_input((1, 8, 8)), seed=0, base=base)
    assert "test_fraction" in caught.value.hint


def test_splits_count_their_samples() -> None:
    inputs: Tensor = torch.zeros(7, 2)
    assert len(one_input_split(inputs, None, (2,))) == 7


NAMED = {
    "image": InputSpec((1, 2, 2), mean=(0.5,), std=(0.5,)),
    "ids": InputSpec((3,), dtype="int64"),
}
PIXELS = np.full((4, 1, 2, 2), 255, np.uint8)
IDS = np.arange(12, dtype=np.int32).reshape(4, 3)


def named(base: Path, inputs: Any) -> Dataset:
    return returning(base, (inputs, [0, 1, 0, 1], inputs, [0, 1, 0, 1]), inputs=NAMED)


def test_inputs_by_name_take_the_recipes_order_and_integers_stay(base: Path) -> None:
    data = named(base, {"ids": IDS, "image": PIXELS})
    assert list(arrays(data.train).inputs) == ["image", "ids"]
    batch = data.test.at(slice(1, 3))
    torch.testing.assert_close(batch["image"], torch.ones(2, 1, 2, 2))
    assert batch["ids"].dtype == torch.int64
    assert batch["ids"].tolist() == [[3, 4, 5], [6, 7, 8]]
    assert len(data.train.limited(2, 0)) == 2
    assert set(arrays(data.train.limited(2, 0)).inputs) == {"image", "ids"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (PIXELS, "one array of inputs, but the recipe has the inputs image, ids"),
        ({"image": PIXELS}, "inputs are named image, in the recipe image, ids"),
        ({"image": PIXELS, "idx": IDS}, "inputs are named image, idx, in the recipe image, ids"),
        ({"image": PIXELS, "ids": IDS[:3]}, "not one for each sample: 4 of image, 3 of ids"),
        ({"image": PIXELS, "ids": IDS[:, :2]}, "a sample is 2, but the recipe's input ids is 3"),
        ({"image": PIXELS, "ids": IDS * 1.0}, "float64, but the recipe's input ids is int64"),
        ({"image": PIXELS, "ids": IDS > 0}, "bool, but the recipe's input ids is int64"),
        ({"image": PIXELS[:0], "ids": IDS[:0]}, "there are no samples"),
    ],
)
def test_inputs_that_are_not_the_recipes(inputs: Any, message: str, base: Path) -> None:
    with pytest.raises(ModelError) as caught:
        named(base, inputs)
    assert message in caught.value.message
    assert "data datasets_mine:build, train split" in caught.value.message


def test_integers_that_do_not_fit_are_refused(base: Path) -> None:
    large = np.array([[1 << 40]])
    spec = {"ids": InputSpec((1,), dtype="int32")}
    with pytest.raises(ModelError, match="values do not fit into int32"):
        returning(base, (large, [0], large, [0]), inputs=spec)


def test_only_floats_are_normalised(base: Path) -> None:
    spec = {"ids": InputSpec((1,), dtype="int32", mean=(0.0,))}
    with pytest.raises(ModelError, match="input ids: mean is for float32, and it is int32"):
        returning(base, (ONE, [0], ONE, [0]), inputs=spec)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1, 0], torch.int64), ([[0.5, 1.5], [1, 2]], torch.float32), ([True, False], torch.bool)],
)
def test_targets_of_any_task(values: Any, dtype: torch.dtype, base: Path) -> None:
    inputs = np.zeros((2, 5), np.float32)
    data = returning(base, (inputs, values, inputs, values), shape=(5,))
    assert targets(data.test).dtype == dtype
    assert data.classes == (("0", "1") if dtype == torch.int64 else ())
