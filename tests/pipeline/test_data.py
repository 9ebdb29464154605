"""The data of a recipe suit its task, and its test split is saved once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data.saved import open_split
from edgekit.errors import ModelError
from edgekit.pipeline.data import data_of, saved_test_split
from edgekit.recipe.load import LoadedRecipe, load_recipe
from tests.support.splits import arrays

pytestmark = pytest.mark.torch

RECIPE = """
edgekit: 2
name: net
model: {name: small_cnn}
inputs: {image: {shape: [1, 2, 2], mean: [0.5]}}
data: {name: "data_of_recipe:load", args: {first_target: 0}, test_limit: 3}
stages: [{stage: train, export: fp32}]
"""
MODULE = """
import numpy as np
def load(first_target):
    images = np.arange(24, dtype=np.float32).reshape(6, 1, 2, 2)
    return images, [first_target, 1, 0, 1, 0, 1], images, [0, 1, 0, 1, 0, 1], ["a", "b"]
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "data_of_recipe.py").write_text(MODULE)
    return tmp_path


def load(base: Path, *overrides: str) -> LoadedRecipe:
    return load_recipe(base / "recipe.yaml", overrides=overrides)


@pytest.mark.parametrize("target", ["0.5", "-1"])
def test_targets_of_another_task_are_refused(target: str, base: Path) -> None:
    with pytest.raises(ModelError) as caught:
        data_of(load(base, f"data.args.first_target={target}"))
    assert caught.value.message.startswith("data data_of_recipe:load, train split: targets must be")


def test_the_test_split_is_saved_once_for_one_state_of_the_data(base: Path, tmp_path: Path) -> None:
    loaded, cache = load(base), tmp_path / "cache"
    directory = saved_test_split(loaded, cache)
    split, classes = open_split(directory)
    assert (len(split), classes) == (3, ("a", "b"))
    np.testing.assert_array_equal(
        split.inputs["image"], arrays(data_of(loaded).test).inputs["image"]
    )
    (base / "data_of_recipe.py").write_text(MODULE + "# changed\n")
    assert saved_test_split(load(base), cache) != directory
    assert saved_test_split(load(base, "data.test_limit=2"), cache) != directory
