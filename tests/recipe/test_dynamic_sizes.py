"""Sizes of an input that may change on the device: what a recipe may say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bundle.manifest import DynamicSize
from edgekit.errors import UsageError
from edgekit.pipeline.planning import dynamic_sizes
from edgekit.recipe.load import load_recipe
from tests.support.recipes import write

RECIPE = """\
edgekit: 2
name: sizes
model: {name: small_cnn}
inputs: {image: {shape: [1, 8, 8], dynamic: [SIZE]}}
data: {name: digits}
stages: [{stage: train, export: fp32}]
"""


def test_axes_count_the_batch_where_the_batch_is(tmp_path: Path) -> None:
    size = "{axis: 1, min: 4, max: 16, multiple_of: 4}"
    loaded = load_recipe(write(tmp_path, RECIPE.replace("SIZE", size)))
    assert dynamic_sizes(loaded.recipe) == {
        "image": (DynamicSize(axis=2, min=4, max=16, multiple_of=4),)
    }


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("{axis: 3, min: 4, max: 16}", "there is no axis 3: shape has 3 sizes"),
        ("{axis: 0, min: 1, max: 3}", "axis 0: a size of 1 cannot be dynamic"),
        ("{axis: 1, min: 9, max: 16}", "axis 1: 8, the size of the data, is not between"),
        ("{axis: 1, min: 4, max: 7}", "axis 1: 8, the size of the data, is not between"),
        ("{axis: 1, min: 8, max: 8}", "axis 1: 8, the size of the data, is not between"),
        ("{axis: 1, min: 4, max: 18, multiple_of: 4}", "4, 8 and 18 are not all multiples of 4"),
        ("{axis: 1, min: 4, max: 9}, {axis: 1, min: 4, max: 9}", "an axis is listed twice"),
        ("{axis: 1, max: 16}", "min"),
    ],
)
def test_what_is_no_size(tmp_path: Path, sizes: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_recipe(write(tmp_path, RECIPE.replace("SIZE", sizes)))
    assert message in raised.value.message
    assert "recipe.yaml:4:" in raised.value.message


def test_a_state_has_the_size_that_the_model_gave_it(tmp_path: Path) -> None:
    state = "from_output: memory, dynamic: [{axis: 1, min: 4, max: 16}]"
    text = RECIPE.replace("dynamic: [SIZE]", state)
    with pytest.raises(UsageError, match="a state has the size that the model gave it"):
        load_recipe(write(tmp_path, text))
