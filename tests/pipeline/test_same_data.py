"""Data that is not the same when it is loaded again: case 75 of the faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.pipeline.data import data_of, saved_test_split
from edgekit.pipeline.same_data import require_same_test, require_same_train
from edgekit.recipe.load import LoadedRecipe, load_recipe

pytestmark = pytest.mark.torch

RECIPE = """
edgekit: 2
name: net
model: {name: small_cnn}
inputs: {image: {shape: [1, 2, 2]}}
data: {name: "drawn:load", args: {seeded: true, labels: 3}}
stages: [{stage: train, export: fp32}]
"""
MODULE = """
import torch

def load(seeded, labels):
    generator = torch.Generator()
    generator.manual_seed(1) if seeded else generator.seed()
    images = torch.rand(40, 1, 2, 2, generator=generator)
    targets = torch.randint(labels, (40,), generator=torch.Generator().manual_seed(2))
    return images, targets, images.clone(), targets.clone(), [str(n) for n in range(labels)]
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "drawn.py").write_text(MODULE)
    return tmp_path


def use(loaded: LoadedRecipe, cache: Path) -> None:
    """As a build does that has something to compute."""
    require_same_train(loaded, cache, data_of(loaded).train)
    require_same_test(loaded, cache, saved_test_split(loaded, cache))


def test_a_source_without_a_seed_is_refused_the_second_time(base: Path) -> None:
    loaded = load_recipe(base / "recipe.yaml", overrides=["data.args.seeded=false"])
    use(loaded, base / "cache")
    with pytest.raises(ModelError, match="the training split is not what it was") as raised:
        use(loaded, base / "cache")
    assert "fixed seed" in raised.value.hint


def test_so_is_a_test_split_that_must_be_saved_again(base: Path) -> None:
    loaded = load_recipe(base / "recipe.yaml", overrides=["data.args.seeded=false"])
    use(loaded, base / "cache")
    shutil.rmtree(base / "cache" / "tests")
    with pytest.raises(ModelError, match="the test split is not what it was"):
        require_same_test(loaded, base / "cache", saved_test_split(loaded, base / "cache"))


def test_a_source_with_a_seed_and_one_that_changed_are_taken(base: Path) -> None:
    for _ in range(2):
        use(load_recipe(base / "recipe.yaml"), base / "cache")
    (base / "drawn.py").write_text(MODULE.replace("manual_seed(1)", "manual_seed(7)"))
    use(load_recipe(base / "recipe.yaml"), base / "cache")
    use(load_recipe(base / "recipe.yaml", overrides=["data.args.labels=5"]), base / "cache")
