"""The recipe's JSON Schema, for editors: completion, hover help and checks while typing."""

from __future__ import annotations

from typing import Any

from edgekit.recipe.schema import Recipe
from edgekit.yaml_documents.schema_choices import told_apart
from edgekit.yaml_documents.schema_help import documented

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_json_schema() -> dict[str, Any]:
    """The JSON schema of recipe files, for editors and other tools. A file that `extends` another
    may leave out what the other one has.

    Returns:
        A schema of draft 2020-12, as plain JSON values.

    Raises:
        Nothing.

    Example:
        >>> edgekit.recipe_json_schema()["title"]
        'edgekit recipe'
    """
    schema = documented(Recipe.model_json_schema(by_alias=True, mode="validation"))
    properties = schema["properties"]
    definitions = schema["$defs"]
    extends = {
        "type": "string",
        "minLength": 1,
        "title": "Extends",
        "description": (
            "Start from this recipe: mappings are merged key by key, everything else is replaced."
        ),
        "examples": ["base.yaml"],
    }
    complete: dict[str, Any] = {"required": schema.pop("required"), "properties": {}}
    for name, part in properties.items():
        definition = definitions.get(part.get("$ref", "").rpartition("/")[2], {})
        if "required" in definition:
            complete["properties"][name] = {"required": definition.pop("required")}
    definitions["OneShot"]["required"] = ["kind"]  # has a default in Python only
    told_apart(schema, own=("method",))
    description = "A model, what is done to it stage by stage, and what the result must keep."
    head = {"$schema": DIALECT, "title": "edgekit recipe", "description": description}
    schema["properties"] = {"extends": extends, **properties}
    return {
        **head,
        **{k: v for k, v in schema.items() if k not in head},
        "if": {"required": ["extends"]},
        "then": {},
        "else": complete,
    }
