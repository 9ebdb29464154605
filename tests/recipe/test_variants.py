"""Parts and variations of a recipe: what is in them, and that what they share has the same keys in
the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.pipeline.planning import Plan, plan
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe, load_recipe
from edgekit.recipe.variants import (
    epochs_of,
    last_float_stage,
    leading_to,
    trained_for,
    untrained,
    up_to,
    without_pictures,
)
from edgekit.searching.making import searched_stages

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
OVERRIDES = [
    "stages.pruned.schedule={kind: iterative, steps: 3, train: {epochs: 2}}",
    "stages.pruned-int8.freeze_observer_epoch=2",
]


@pytest.fixture
def quickstart() -> LoadedRecipe:
    return load_recipe(QUICKSTART, overrides=OVERRIDES)


def names(loaded: LoadedRecipe) -> list[str]:
    return [stage_name(loaded.recipe, index) for index in range(len(loaded.recipe.stages))]


def keys(planned: Plan) -> dict[str, str]:
    return {stage.name: stage.key for stage in planned.stages}


def test_only_what_leads_to_a_variant(quickstart: LoadedRecipe, tmp_path: Path) -> None:
    """The stage `int8` is of no use to the others; `fp32` is a teacher."""
    part = leading_to(quickstart, ["pruned-int8"], ["litert"])
    assert names(part) == ["fp32", "pruned", "finetuned", "pruned-int8"]
    planned = plan(part, cache=tmp_path)
    assert [export.file_name for export in planned.exports] == ["pruned-int8.tflite"]
    whole = keys(plan(quickstart, cache=tmp_path))
    assert keys(planned).items() <= whole.items(), "what is shared is trained once"


def test_branches_stay_branches(quickstart: LoadedRecipe, tmp_path: Path) -> None:
    part = leading_to(quickstart, ["int8"], ["xnnpack", "litert"])
    assert names(part) == ["fp32", "int8"]
    assert keys(plan(part, cache=tmp_path)).items() <= keys(plan(quickstart)).items()


def test_a_fraction_of_the_training_of_some_stages(quickstart: LoadedRecipe) -> None:
    stages = {"pruned", "finetuned", "pruned-int8"}
    shorter = trained_for(quickstart, 1 / 3, stages)
    assert epochs_of(quickstart.recipe, {"fp32"}) == epochs_of(shorter.recipe, {"fp32"}) == 12
    assert epochs_of(quickstart.recipe, stages) == 3 * 2 + 6 + 3
    assert epochs_of(shorter.recipe, stages) == pytest.approx(5)
    assert shorter.recipe.stages[4].freeze_observer_epoch is None  # type: ignore[attr-defined]
    assert shorter.recipe.verify.snr_min_db < 0
    assert trained_for(quickstart, 1, stages) is quickstart


def test_nothing_is_trained(quickstart: LoadedRecipe, tmp_path: Path) -> None:
    """Candidates that differ in how they are trained are one net: it is lowered once."""
    plain = untrained(quickstart)
    assert epochs_of(plain.recipe, names(plain)) < 1e-6
    assert plain.recipe.data.test_limit == 64
    other = load_recipe(
        QUICKSTART,
        overrides=[*OVERRIDES, "stages.fp32.lr=0.1", "stages.finetuned.epochs=20"],
    )
    pruned_more = load_recipe(QUICKSTART, overrides=[*OVERRIDES, "stages.pruned.macs=0.4"])
    assert keys(plan(untrained(other), cache=tmp_path)) == keys(plan(plain, cache=tmp_path))
    assert keys(plan(untrained(pruned_more), cache=tmp_path)) != keys(plan(plain, cache=tmp_path))


def test_where_the_training_of_a_variant_ends(quickstart: LoadedRecipe, tmp_path: Path) -> None:
    """Of a net that is quantized after it was trained, its last float stage."""
    assert last_float_stage(quickstart.recipe, "int8") == "fp32"
    assert last_float_stage(quickstart.recipe, "pruned-int8") is None
    part = up_to(quickstart, "finetuned")
    assert names(part) == ["fp32", "pruned", "finetuned"]
    planned = plan(part, cache=tmp_path)
    assert planned.exports == ()
    assert keys(planned).items() <= keys(plan(quickstart, cache=tmp_path)).items()


def test_what_only_people_look_at_is_left_out(quickstart: LoadedRecipe) -> None:
    assert without_pictures(quickstart).recipe.export.pictures == 0


@pytest.mark.parametrize(
    ("searched_key", "stages"),
    [
        ("stages.pruned.macs", {"pruned", "finetuned", "pruned-int8"}),
        ("stages.1.observer", {"int8"}),
        ("stages.fp32.lr", {"fp32", "int8", "pruned", "finetuned", "pruned-int8"}),
        ("data.train_limit", {"fp32", "int8", "pruned", "finetuned", "pruned-int8"}),
    ],
)
def test_which_stages_are_searched(
    searched_key: str, stages: set[str], quickstart: LoadedRecipe
) -> None:
    assert searched_stages(quickstart.recipe, [searched_key]) == stages
