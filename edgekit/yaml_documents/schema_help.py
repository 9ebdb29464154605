"""What an editor shows of a JSON Schema: each key with a description, its unit and an example. Owns
completing a schema that pydantic made from what is known already: the section's own description,
the unit in a key's name, the default. Knows neither recipes nor targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgekit.prose import paragraphs

UNITS: dict[str, tuple[str, Any]] = {
    "ms": ("Milliseconds", 10.0),
    "seconds": ("Seconds", 60.0),
    "bytes": ("Bytes", 1_000_000),
    "percent": ("Percent", 95.0),
    "points": ("Percentage points", 1.0),
    "ratio": ("A factor", 2.0),
    "db": ("Decibels", 20.0),
    "epochs": ("Epochs", 2),
    "epoch": ("Epochs", 2),
    "step": ("Steps", 1000),
    "c": ("Degrees Celsius", 50),
    "limit": ("Samples", 1000),
    "samples": ("Samples", 256),
}
"""By the last word of a key: its unit, and an example. `ratio` is what a limit is multiplied by, or
a fraction where the schema bounds it by 1."""
TAGS = ("stage", "method", "kind")


def documented(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with a description, unit and examples at each key, as far as they are known.
    Changed in place."""
    definitions = schema.get("$defs", {})
    sections = [section for section in (schema, *definitions.values()) if "properties" in section]
    for section in sections:
        if "description" in section:
            section["description"] = paragraphs(section["description"])
        for key, value in section["properties"].items():
            _describe(key, value, section, definitions)
    for section in sections:
        for value in section["properties"].values():
            if "examples" not in value and (
                example := _example(next(_referred(value, definitions), {}))
            ):
                value["examples"] = [example]
    return schema


def _describe(
    key: str, value: dict[str, Any], section: dict[str, Any], definitions: dict[str, Any]
) -> None:
    described = (
        section if key in TAGS and "const" in value else next(_referred(value, definitions), {})
    )
    if "description" not in value and "description" in described:
        value["description"] = described["description"].split("\n\n")[0]
    unit, example = UNITS.get(key.rpartition("_")[2], ("", None))
    if unit == "A factor" and _bounded(value):
        unit = "A fraction, 0 to 1"
        example = 0.5
    if unit and "description" in value and unit.lower() not in value["description"].lower():
        value["description"] += f" {unit}."
    if "examples" not in value:
        choices = (
            [value["const"]]
            if "const" in value
            else value.get("enum", [])
            or [v["const"] for v in value.get("anyOf", []) if "const" in v]
        )
        values = [value["default"]] if value.get("default") not in (None, "", [], {}) else choices
        if examples := values or ([example] if example is not None else []):
            value["examples"] = examples


def _example(section: dict[str, Any]) -> dict[str, Any]:
    """The section with the keys it must have."""
    properties = section.get("properties", {})
    return {
        key: properties[key]["examples"][0]
        for key in section.get("required", ())
        if properties[key].get("examples")
    }


def _referred(value: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (value, *value.get("anyOf", ())):
        if name := part.get("$ref", "").rpartition("/")[2]:
            yield definitions[name]


def _bounded(value: dict[str, Any]) -> bool:
    return any(
        1 in (part.get("maximum"), part.get("exclusiveMaximum"))
        for part in (value, *value.get("anyOf", ()))
    )
