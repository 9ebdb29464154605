from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgekit.recipe.json_schema import recipe_json_schema
from edgekit.target import target_json_schema
from edgekit.yaml_file import parse_yaml, read_yaml
from tests.recipe.test_load import BASE, HEAD, SHIPPED


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return recipe_json_schema()


def accepts(schema: dict[str, Any], text: str) -> bool:
    return not list(Draft202012Validator(schema).iter_errors(parse_yaml(text, "recipe.yaml").data))


def test_schemas_follow_the_metaschema(schema: dict[str, Any]) -> None:
    for one in (schema, target_json_schema()):
        Draft202012Validator.check_schema(one)
        assert one["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        assert one["title"].startswith("edgekit ")


def test_an_editor_finds_what_it_shows(schema: dict[str, Any]) -> None:
    """Every key has a text to hover, every stage is told apart by constants, unknown keys are marked."""
    sections = schema["$defs"]
    assert {"Train", "Finetune", "Import", "PruneStructured", "QuantizeQat", "Polynomial", "VariantBudget"} <= sections.keys()
    constants = {"stage", "method", "kind", "edgekit"}
    for name, section in sections.items():
        assert section["additionalProperties"] is False, name
        assert section["description"], name
        for key, part in section["properties"].items():
            if key in constants:
                assert "const" in part, f"{name}.{key}"
            else:
                assert "description" in part or "$ref" in part, f"{name}.{key}"
    assert "from" in sections["Train"]["properties"]
    assert sections["Training"]["properties"]["epochs"]["default"] == 1
    assert sections["QuantizeQat"]["properties"]["train"]["default"]["lr"] == 1e-4
    assert sections["Model"]["properties"]["name"]["examples"]
    assert set(sections["Train"]["properties"]["stage"].values()) >= {"train"}
    assert {"stage", "method", "sparsity"} <= set(sections["PruneUnstructured"]["required"])
    stages = schema["properties"]["stages"]["items"]
    assert stages["discriminator"]["propertyName"] == "stage"
    assert len(stages["oneOf"]) == 5


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        (BASE, True),
        (BASE + "extra: 1\n", False),
        (BASE.replace("train: {epochs: 1}", "train: {epoch: 1}"), False),
        (BASE.replace("method: qat", "method: qta"), False),
        (BASE.replace("name: net", "name: a b"), False),
        (BASE.replace("{name: resnet8}", "{}"), False),
        (BASE.replace("epochs: 2", "epochs: 0"), False),
        (HEAD, False),
        (HEAD + "stages: [{stage: prune, method: unstructured, sparsity: 0.5, schedule: {}, export: a}]", False),
        (HEAD + "stages: [{stage: prune, method: unstructured, sparsity: 0.5, schedule: {kind: one_shot}, export: a}]", True),
        ("extends: base.yaml\nmodel: {args: {a: 1}}\n", True),
        ("extends: base.yaml\nmodle: {}\n", False),
    ],
)
def test_the_schema_judges_as_the_loader_does(schema: dict[str, Any], text: str, accepted: bool) -> None:
    assert accepts(schema, text) is accepted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_follow_the_schema(schema: dict[str, Any], path: Any) -> None:
    errors = list(Draft202012Validator(schema).iter_errors(read_yaml(path).data))
    assert not errors, errors[0].message
