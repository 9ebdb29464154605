from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgekit.devices.target import target_json_schema
from edgekit.recipe.json_schema import recipe_json_schema
from edgekit.yaml_documents.yaml_file import parse_yaml, read_yaml
from tests.support.recipes import BASE as BASE_OF_FORMAT1
from tests.support.recipes import HEAD as HEAD_OF_FORMAT1
from tests.support.recipes import SHIPPED

BASE, HEAD = (
    text.replace("edgekit: 1", "edgekit: 2").replace(
        "input: {shape: [3, 32, 32]}", "inputs: {image: {shape: [3, 32, 32]}}"
    )
    for text in (BASE_OF_FORMAT1, HEAD_OF_FORMAT1)
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return recipe_json_schema()


def accepts(schema: dict[str, Any], text: str) -> bool:
    return not list(Draft202012Validator(schema).iter_errors(parse_yaml(text, "recipe.yaml").data))


def test_schemas_follow_the_metaschema(schema: dict[str, Any]) -> None:
    for json_schema in (schema, target_json_schema()):
        Draft202012Validator.check_schema(json_schema)
        assert json_schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        assert json_schema["title"].startswith("edgekit ")


def test_an_editor_finds_what_it_shows(schema: dict[str, Any]) -> None:
    """Every key has a text to hover, every stage is told apart by constants, unknown keys are
    marked."""
    sections = schema["$defs"]
    assert {
        "Train",
        "Finetune",
        "Import",
        "PruneStructured",
        "QuantizeQat",
        "Polynomial",
        "VariantBudget",
    } <= sections.keys()
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
    assert sections["Train"]["properties"]["stage"]["const"] == "train"
    assert {"stage", "method", "sparsity"} <= set(sections["PruneUnstructured"]["required"])
    stages = [
        sections[rule["then"]["$ref"].rpartition("/")[2]]["properties"]
        for rule in schema["properties"]["stages"]["items"]["allOf"]
        if "$ref" in rule["then"]
    ]
    assert (
        len({(stage["stage"]["const"], stage.get("method", {}).get("const")) for stage in stages})
        == len(stages)
        == 11
    )


def test_a_fault_in_a_stage_is_one_error_at_its_key(schema: dict[str, Any]) -> None:
    """Not that the whole stage fits none of eleven kinds."""
    for stage, path, message in (
        ("stage: train, epoch: 1", ["stages", 0], "'epoch' was unexpected"),
        ("stage: train, epochs: 0", ["stages", 0, "epochs"], "0 is less than"),
        ("stage: quantize, method: ptq, lr: 1", ["stages", 0], "'lr' was unexpected"),
        ("stage: quantize, method: qta", ["stages", 0, "method"], "'qta'"),
        ("stage: quantize", ["stages", 0], "'method' is a required property"),
        ("stage: trian", ["stages", 0, "stage"], "'trian' is not one of"),
        ("sgae: train", ["stages", 0], "'stage' is a required property"),
        (
            "stage: prune, method: n_m, schedule: {kind: one_shot, stps: 1}",
            ["stages", 0, "schedule"],
            "'stps' was unexpected",
        ),
    ):
        text = HEAD + f"stages: [{{{stage}}}]\n"
        errors = Draft202012Validator(schema).iter_errors(parse_yaml(text, "recipe.yaml").data)
        assert any(
            list(error.absolute_path) == path and message in error.message for error in errors
        ), stage
        assert not any("not valid under any" in error.message for error in errors)


def test_a_method_of_ones_own_is_left_to_the_loader(schema: dict[str, Any]) -> None:
    own = "stages: [{stage: prune, method: my_prune:HALF, export: a, strength: 2}]\n"
    assert accepts(schema, HEAD + own)
    assert not accepts(schema, HEAD + own.replace("my_prune:HALF", "my_prune"))


def test_every_key_has_a_description_and_an_example() -> None:
    for json_schema in (recipe_json_schema(), target_json_schema()):
        validator = Draft202012Validator(json_schema)
        for name, section in [("", json_schema), *json_schema["$defs"].items()]:
            for key, part in section.get("properties", {}).items():
                assert len(part["description"]) > 3, f"{name}.{key}"
                assert part["examples"], f"{name}.{key}"
                for example in part["examples"]:
                    assert validator.evolve(
                        schema={**part, "$defs": json_schema["$defs"]}
                    ).is_valid(example), f"{name}.{key}: {example}"


def test_keys_with_a_unit_say_it(schema: dict[str, Any]) -> None:
    sections = schema["$defs"]
    assert sections["VariantBudget"]["properties"]["latency_p50_max_ms"]["description"].endswith(
        "Milliseconds."
    )
    assert "fraction" in sections["PruneStructured"]["properties"]["ratio"]["description"].lower()
    assert "econds" in sections["Bench"]["properties"]["max_seconds"]["description"]


@pytest.mark.parametrize("kind", ["recipe", "target"])
def test_the_shipped_schemas_are_todays(kind: str) -> None:
    file = Path(__file__).parents[2] / f"{kind}s" / f"{kind}.schema.json"
    now = recipe_json_schema() if kind == "recipe" else target_json_schema()
    assert json.loads(file.read_text()) == now, (
        f"run: edgekit {kind} schema -o {kind}s/{kind}.schema.json"
    )


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
        (
            HEAD + "stages: [{stage: prune, method: unstructured, sparsity: 0.5, schedule: {},"
            " export: a}]",
            False,
        ),
        (
            HEAD + "stages: [{stage: prune, method: unstructured, sparsity: 0.5, schedule: {kind:"
            " one_shot}, export: a}]",
            True,
        ),
        ("extends: base.yaml\nmodel: {args: {a: 1}}\n", True),
        ("extends: base.yaml\nmodle: {}\n", False),
    ],
)
def test_the_schema_judges_as_the_loader_does(
    schema: dict[str, Any], text: str, accepted: bool
) -> None:
    assert accepts(schema, text) is accepted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_follow_the_schema(schema: dict[str, Any], path: Any) -> None:
    errors = list(Draft202012Validator(schema).iter_errors(read_yaml(path).data))
    assert not errors, errors[0].message
