"""The data of a recipe, as its stages train on it and its bundles are evaluated on it. Imports
torch when data is loaded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cache import Cache, content_key, source_digest
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.data.outline import contents_of
from edgekit.data.source import InputSpec
from edgekit.errors import ModelError
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import Recipe
from edgekit.states import STATELESS, State, States
from edgekit.tasks.task import load_task

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset, Split

CODE = ("data", "registry", "sample_steps/decoding", "states.py", "pipeline/data.py")
"""What a saved split depends on besides the recipe and its data."""


def input_specs(recipe: Recipe) -> dict[str, InputSpec]:
    """The inputs of a recipe in the words of edgekit.data, without its states."""
    return {
        name: InputSpec(section.shape, section.dtype, section.mean, section.std)
        for name, section in recipe.inputs.items()
        if section.from_output is None
    }


def states_of(recipe: Recipe) -> States:
    """The states among a recipe's inputs."""
    by_input = {
        name: State(section.shape, section.from_output)
        for name, section in recipe.inputs.items()
        if section.from_output is not None
    }
    return States(by_input, tuple(recipe.inputs)) if by_input else STATELESS


def data_of(loaded: LoadedRecipe) -> Dataset:
    """The data of a recipe, with targets that suit its task.

    Raises ModelError: the data cannot be had, or are for another task."""
    from edgekit.data.dataset import Dataset
    from edgekit.data.load import load_dataset

    recipe = loaded.recipe
    data = load_dataset(
        recipe.data.name,
        recipe.data.args,
        inputs=input_specs(recipe),
        seed=recipe.seed,
        train_limit=recipe.data.train_limit,
        test_limit=recipe.data.test_limit,
        base=loaded.path.parent,
        workers=recipe.data.processes,
        states=states_of(recipe),
    )
    task = load_task(recipe.task, loaded.path.parent)

    def checked(part: str, split: Split) -> Split:
        try:
            return split.checked(lambda targets: task.check_targets(targets, {}))
        except ModelError as error:
            raise ModelError(
                f"data {recipe.data.name}, {part} split: {error.message}", hint=error.hint
            ) from None

    return Dataset(checked("train", data.train), checked("test", data.test), data.classes)


def understood(loaded: LoadedRecipe, data: Dataset) -> tuple[str, ...]:
    """What was understood of the data in one line, and what is odd about its values, which is also
    logged."""
    from edgekit.data.summary import summary, value_warnings

    named = loaded.recipe.data
    warnings = tuple(value_warnings(data.train))
    for warning in warnings:
        logging.getLogger(__name__).warning("data %s: %s", named.name, warning)
    return summary(data, contents_of(named.name, named.args, loaded.path.parent)), *warnings


def data_key(loaded: LoadedRecipe) -> str:
    """A key for what follows from the data of a recipe."""
    recipe = loaded.recipe
    inputs = {name: section.model_dump(mode="json") for name, section in recipe.inputs.items()}
    return content_key(
        dataset_fingerprint(recipe.data.name, recipe.data.args, loaded.path.parent),
        [list(inputs.items()), recipe.data.model_dump(mode="json"), recipe.seed],
        source_digest(*CODE),
    )


def saved_test_split(loaded: LoadedRecipe, cache: Path, data: Dataset | None = None) -> Path:
    """The directory that holds the test split of a recipe (edgekit.data.saved): from the cache, or
    made from `data`, which is loaded when it is not given.

    Raises ModelError: the data cannot be had."""
    store, key = Cache(cache, "tests"), data_key(loaded)
    entry = store.get(key)
    if entry is not None:
        return entry
    from edgekit.data.saved import save_split

    data = data or data_of(loaded)
    scratch = store.scratch()
    save_split(data.test, data.classes, scratch)
    return store.put(key, scratch)
