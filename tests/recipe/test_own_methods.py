"""Methods that a recipe names itself: what is wrong with them is said at their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.compress import METHODS, STAGES
from edgekit.errors import UsageError
from edgekit.recipe.load import load_recipe, recipe_sha256

RECIPE = """
edgekit: 2
name: mine
model: {{name: small_cnn}}
inputs: {{image: {{shape: [1, 8, 8]}}}}
data: {{name: digits}}
stages:
  - stage: train
  - stage: {stage}
    method: {method}
    export: out
    threshold: {threshold}
"""
MODULE = """
from pydantic import Field
from edgekit.compress.method import Method
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import PruneBase, QuantizeBase

class Ternary(QuantizeBase):
    threshold: float = Field(default=0.05, ge=0)

class Small(PruneBase):
    threshold: float = 0.1

def run(context, checkpoint, section):
    return checkpoint, ()

TERNARY = Method(section=Ternary, run=run, scheme=Scheme(weights="int8"))
SMALL = Method(section=Small, run=run)
NUMBER = 7
"""


def written(path: Path, stage: str, method: str, threshold: object = 0.2) -> Path:
    (path / "own_methods_of_a_test.py").write_text(MODULE)
    recipe = path / "recipe.yaml"
    recipe.write_text(RECIPE.format(stage=stage, method=method, threshold=threshold))
    return recipe


@pytest.mark.parametrize(("stage", "name"), [("quantize", "TERNARY"), ("prune", "SMALL")])
def test_a_method_beside_the_recipe(tmp_path: Path, stage: str, name: str) -> None:
    path = written(tmp_path, stage, f"own_methods_of_a_test:{name}")
    loaded = load_recipe(path)
    section = loaded.recipe.stages[1]
    assert section.entry.stage == stage
    assert section.model_dump()["threshold"] == 0.2
    assert str(loaded.origins["stages", 1, "threshold"]).endswith("recipe.yaml:12:16")
    assert recipe_sha256(load_recipe(path).recipe) == recipe_sha256(loaded.recipe)


@pytest.mark.parametrize(
    ("stage", "method", "threshold", "line", "message"),
    [
        ("quantize", "own_methods_of_a_test:NUMBER", 0.2, 10, "is of type int, not a method"),
        ("quantize", "own_methods_of_a_test:SMALL", 0.2, 10, "of stage prune, not of quantize"),
        ("quantize", "own_methods_of_a_test:TERNRY", 0.2, 10, "has no TERNRY"),
        ("quantize", "no_such_module_at_all:TERNARY", 0.2, 10, "no module no_such_module_at_all"),
        ("quantize", "own_methods_of_a_test:TERNARY", -1, 12, "threshold must be at least 0"),
        ("quantize", "dynamik", 0.2, 10, "(did you mean 'dynamic'?)"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(
    tmp_path: Path, stage: str, method: str, threshold: float, line: int, message: str
) -> None:
    path = written(tmp_path, stage, method, threshold)
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    (problem,) = caught.value.details["problems"]
    assert (problem["line"], message in problem["message"]) == (line, True), problem


def test_all_entries_belong_to_the_stage_they_stand_under() -> None:
    for kind, table in METHODS.items():
        assert {table.resolve(name).stage for name in table} == {kind}
    assert [STAGES.resolve(kind).stage for kind in STAGES] == list(STAGES)
