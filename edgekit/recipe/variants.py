"""Parts and variations of a recipe, as recipes: only what leads to some variants, all trainings
shorter, nothing trained at all. Stages keep their names and, where nothing of theirs changes, their
keys in the cache.

The results are values and not documents: what holds of a whole recipe need not hold of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from edgekit.compress.sections import (
    Distill,
    Iterative,
    QuantizeBase,
    StageBase,
    Training,
    trainings,
)
from edgekit.recipe.limits import Verify
from edgekit.recipe.lineage import lineage, parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import Recipe
from edgekit.yaml_documents.fields import Section

AnySection = TypeVar("AnySection", bound=Section)
ONE_STEP_EPOCHS = 1e-9
"""So short that a training is a single step of its optimiser."""
FEW_SAMPLES = 64
ANYTHING = Verify(samples=FEW_SAMPLES, snr_min_db=-1e9, cosine_min=-1.0, agreement_min_percent=0.0)
"""A file of a net that has learned little may differ from it by much."""


def leading_to(
    loaded: LoadedRecipe, variants: Collection[str], backends: Sequence[str]
) -> LoadedRecipe:
    """The stages that these variants come from, with their teachers, exported for these backends
    alone."""
    recipe = loaded.recipe
    exported = [index for index, stage in enumerate(recipe.stages) if stage.export in variants]
    stages = _behind(recipe, exported, variants)
    export = recipe.export.model_copy(update={"backends": tuple(backends)})
    return _changed(loaded, stages=stages, export=export)


def last_float_stage(recipe: Recipe, variant: str) -> str | None:
    """The stage after which nothing is trained for a variant, where its network is float: it is
    then as good as it gets. None where the training is part of the quantization, or there is
    none."""
    index = next(i for i, stage in enumerate(recipe.stages) if stage.export == variant)
    trained = [at for at in lineage(recipe, index) if any(trainings(recipe.stages[at]))]
    if not trained or isinstance(recipe.stages[trained[-1]], QuantizeBase):
        return None
    return stage_name(recipe, trained[-1])


def up_to(loaded: LoadedRecipe, stage: str) -> LoadedRecipe:
    """The stages that a stage comes from, and itself. Nothing is exported."""
    recipe = loaded.recipe
    names = [stage_name(recipe, index) for index in range(len(recipe.stages))]
    return _changed(loaded, stages=_behind(recipe, [names.index(stage)], ()))


def _behind(recipe: Recipe, ends: Sequence[int], exported: Collection[str]) -> tuple[Any, ...]:
    """The stages that some stages come from, with their teachers, under the names that they have.
    Those of these variants are exported."""
    names = [stage_name(recipe, index) for index in range(len(recipe.stages))]
    needed: set[int] = set()
    waiting = list(ends)
    while waiting:
        line = set(lineage(recipe, waiting.pop())) - needed
        needed |= line
        taught = (_teachers(recipe.stages[index]) for index in line)
        waiting += [names.index(name) for teachers in taught for name in teachers]
    stages = []
    for index in sorted(needed):
        stage, parent = recipe.stages[index], parent_of(recipe, index)
        update = {
            "name": names[index],
            "from_": None if parent is None else names[parent],
            "export": stage.export if stage.export in exported else None,
        }
        stages.append(stage.model_copy(update=update))
    return tuple(stages)


def trained_for(
    loaded: LoadedRecipe, fraction: float, stages: Collection[str] | None = None
) -> LoadedRecipe:
    """The trainings of these stages, or of all, for a fraction of their epochs. Files are then not
    held to the recipe's `verify`."""
    if fraction == 1:
        return loaded

    def shorter(training: Training) -> Training:
        epochs = training.epochs * fraction
        warmup_epochs = training.warmup_epochs * fraction
        return training.model_copy(update={"epochs": epochs, "warmup_epochs": warmup_epochs})

    recipe = loaded.recipe
    changed = tuple(
        with_trainings(stage, shorter)
        if stages is None or stage_name(recipe, index) in stages
        else stage
        for index, stage in enumerate(recipe.stages)
    )
    return _changed(loaded, stages=changed, verify=ANYTHING)


def untrained(loaded: LoadedRecipe) -> LoadedRecipe:
    """The same networks with weights that have hardly learned: each training is one step, with the
    settings that are usual, so that recipes whose networks are alike are alike. Few test samples,
    and nothing in the bundle but the files."""

    def one_step(training: Training) -> Training:
        usual = {
            key: type(training).model_fields[key].get_default() for key in Training.model_fields
        }
        return training.model_copy(update={**usual, "epochs": ONE_STEP_EPOCHS})

    recipe = loaded.recipe
    stages = tuple(with_trainings(stage, one_step) for stage in recipe.stages)
    limit = min(recipe.data.test_limit or FEW_SAMPLES, FEW_SAMPLES)
    data = recipe.data.model_copy(update={"test_limit": limit})
    export = recipe.export.model_copy(update={"evaluation_set": 0, "pictures": 0})
    return _changed(loaded, stages=stages, data=data, export=export, verify=ANYTHING)


def without_pictures(loaded: LoadedRecipe) -> LoadedRecipe:
    """The same without what only a person looks at, or another machine needs."""
    export = loaded.recipe.export.model_copy(update={"evaluation_set": 0, "pictures": 0})
    return _changed(loaded, export=export)


def with_trainings(section: AnySection, change: Callable[[Training], Training]) -> AnySection:
    """A section with each of its trainings, at any depth, replaced by what `change` makes of it.
    Beside such a training, what counts its steps or epochs has its usual value."""
    if isinstance(section, Training):
        return change(section)  # type: ignore[return-value]  # the same type, by model_copy
    fields = type(section).model_fields
    update: dict[str, Any] = {
        key: with_trainings(value, change)
        for key in fields
        if isinstance(value := getattr(section, key), Section)
    }
    if any(isinstance(value, Training) for value in update.values()):
        counting = [key for key in fields if key.endswith(("_step", "_epoch"))]
        update |= {key: fields[key].get_default() for key in counting}
    return section.model_copy(update=update)


def epochs_of(recipe: Recipe, stages: Collection[str]) -> float:
    """The epochs that the trainings of these stages take together."""
    return sum(
        training.epochs * _times(stage, path)
        for index, stage in enumerate(recipe.stages)
        if stage_name(recipe, index) in stages
        for path, training in trainings(stage)
    )


def _times(stage: StageBase, path: Sequence[Any]) -> int:
    """How often a training within a stage runs."""
    schedule = getattr(stage, "schedule", None)
    return schedule.steps if path and isinstance(schedule, Iterative) else 1


def _teachers(section: Section) -> list[str]:
    """The stages that a stage learns from."""
    return [
        training.distill.teacher
        for _, training in trainings(section)
        if isinstance(training.distill, Distill)
    ]


def _changed(loaded: LoadedRecipe, **update: Any) -> LoadedRecipe:
    return replace(loaded, recipe=loaded.recipe.model_copy(update=update))
