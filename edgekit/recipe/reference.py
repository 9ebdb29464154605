"""All keys of a recipe or a target as Markdown tables, made from the JSON Schema: what an editor
shows, to be read in one go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def reference(schema: dict[str, Any], command: str) -> str:
    """The reference of a schema; `command` makes it, and is named at its head."""
    lines = [
        f"# {schema['title']}: all keys",
        "",
        f"Made by `{command}`; a test holds it against the schema. Required keys are **bold**.",
        "",
    ]
    if "properties" in schema:
        complete = schema.get("else", schema)
        lines += _table(schema["properties"], complete.get("required", ()))
    for name, section in schema["$defs"].items():
        if "properties" in section:
            lines += [
                f"## {name}",
                "",
                *section.get("description", "").splitlines(),
                "",
                *_table(section["properties"], section.get("required", ())),
            ]
    return "\n".join(lines)


def _table(properties: dict[str, Any], required: Any) -> Iterator[str]:
    yield from ("| key | is | default | for example | description |", "|---|---|---|---|---|")
    for key, value in properties.items():
        name = f"**`{key}`**" if key in required else f"`{key}`"
        default = f"`{_short(value['default'])}`" if "default" in value else ""
        example = next(
            (
                f"`{_short(candidate)}`"
                for candidate in value.get("examples", ())
                if candidate != value.get("default")
            ),
            "",
        )
        yield " | ".join(
            (
                f"| {name}",
                _cell(_kind(value)),
                _cell(default),
                _cell(example),
                f"{_cell(value.get('description', ''))} |",
            )
        )
    yield ""


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _kind(value: dict[str, Any]) -> str:
    """The type in a few words, with its bounds."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    choices = value.get("anyOf") or [
        rule["then"] for rule in value.get("allOf", ()) if "$ref" in rule["then"]
    ]
    if choices:
        kinds = (_kind(choice) for choice in choices if choice.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    kind = str(value.get("type", "anything"))
    if kind == "array" and isinstance(value.get("items"), dict):
        return f"list of {_kind(value['items'])}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " ".join(
        [
            {"object": "mapping", "string": "text"}.get(kind, kind),
            *(f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value),
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
