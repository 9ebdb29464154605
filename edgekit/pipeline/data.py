"""The data of a recipe, as its stages train on it and its bundles are evaluated on it. Imports
torch."""

from __future__ import annotations

from edgekit.data.dataset import Dataset, load_dataset
from edgekit.recipe.load import LoadedRecipe


def data_of(loaded: LoadedRecipe) -> Dataset:
    """Raises ModelError: the data cannot be had."""
    recipe = loaded.recipe
    return load_dataset(
        recipe.data.name,
        recipe.data.args,
        shape=recipe.input.shape,
        mean=recipe.input.mean,
        std=recipe.input.std,
        seed=recipe.seed,
        train_limit=recipe.data.train_limit,
        test_limit=recipe.data.test_limit,
        base=loaded.path.parent,
    )
