from __future__ import annotations

from pathlib import Path

from edgekit.recipe.lineage import Link, lineage, links_in, names, parent_of, parents, stage_name
from edgekit.recipe.load import load_recipe

RECIPE = """\
edgekit: 1
name: net
model: {name: m}
input: {shape: [3, 32, 32]}
data: {name: digits}
stages:
- {stage: train}
- {stage: train, export: fp32}
- {stage: quantize, method: ptq, name: posttraining, export: int8}
- {stage: prune, method: n_m, from: fp32}
- {stage: finetune}
- {stage: train, from: train-1}
"""


def test_names_parents_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    recipe = load_recipe(path).recipe
    assert [stage_name(recipe, i) for i in range(6)] == [
        "train-1",
        "fp32",
        "posttraining",
        "prune-1",
        "finetune-1",
        "train-3",
    ]
    assert [parent_of(recipe, i) for i in range(6)] == [None, 0, 1, 1, 3, 0]
    assert [lineage(recipe, i) for i in range(6)] == [
        (0,),
        (0, 1),
        (0, 1, 2),
        (0, 1, 3),
        (0, 1, 3, 4),
        (0, 5),
    ]


def test_links_of_malformed_data() -> None:
    assert links_in({"stages": [5, {"stage": []}, {"stage": "x", "from": 3}]}) == (
        Link(""),
        Link(""),
        Link("x"),
    )
    assert links_in(None) == links_in({"stages": {}}) == ()
    assert names([Link(""), Link("x"), Link("")]) == ("-1", "x-1", "-2")
    assert parents([Link("x", from_="x-1"), Link("x", from_="x-2"), Link("x")]) == (None, None, 1)
