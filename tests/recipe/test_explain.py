from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from edgekit.recipe.explain import explain
from edgekit.recipe.load import load_recipe, recipe_sha256
from tests.support.recipes import BASE, write

BRANCHED = (
    BASE + "  - {stage: prune, method: unstructured, sparsity: 0.5, from: fp32, include: [a, b]}\n"
    "  - {stage: finetune, augment: [{MixUp: {alpha: 0.1}}], export: sparse}\n"
    "budget: {baseline: sparse}\nexport: {formats: [litert]}\n"
)


def test_the_plan_of_stages(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, BRANCHED), overrides=["stages.fp32.lr=0.1"])
    plan = explain(loaded, cached={"fp32": True, "int8": False})
    assert (plan.name, plan.baseline, plan.recipe_sha256) == (
        "net",
        "sparse",
        recipe_sha256(loaded.recipe),
    )
    rows = [
        (s.name, s.kind, s.method, s.parent, s.variant, s.artifacts, s.cached) for s in plan.stages
    ]
    assert rows == [
        ("fp32", "train", None, None, "fp32", ("fp32.tflite",), True),
        ("int8", "quantize", "qat", "fp32", "int8", ("int8.tflite",), False),
        ("prune-1", "prune", "unstructured", "fp32", None, (), None),
        ("sparse", "finetune", None, "prune-1", "sparse", ("sparse.tflite",), None),
    ]
    written = [
        {s.path: s.value for s in stage.settings if s.origin != "default"} for stage in plan.stages
    ]
    assert written == [
        {"epochs": 2.0, "lr": 0.1},
        {"train.epochs": 1.0},
        {"include": ["a", "b"], "sparsity": 0.5},
        {"augment.0.MixUp.alpha": 0.1},
    ]
    assert plan.stages[2].origin == f"{tmp_path}/recipe.yaml:14:5"


def test_without_a_baseline_the_first_variant_is_it(tmp_path: Path) -> None:
    assert explain(load_recipe(write(tmp_path, BASE))).baseline == "fp32"


def test_every_value_with_its_origin(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, BRANCHED), overrides=["input.shape.2=16"])
    plan = explain(loaded)
    values = {value.path: value for value in plan.values}
    assert len(values) == len(plan.values)
    assert (values["name"].value, values["name"].origin) == ("net", f"{tmp_path}/recipe.yaml:2:7")
    assert (values["bench.runs"].value, values["bench.runs"].origin) == (10, "default")
    assert values["stages.2.include"].value == ["a", "b"], "a list of plain values is one value"
    assert values["model.args"].value == {}
    assert values["inputs.input.shape.2"].origin == "--set input.shape.2=16", (
        "unless it was written in several places"
    )
    assert values["inputs.input.shape.0"].origin == f"{tmp_path}/recipe.yaml:4:17"
    assert json.loads(json.dumps(dataclasses.asdict(plan)))["stages"][1]["artifacts"] == [
        "int8.tflite"
    ]
