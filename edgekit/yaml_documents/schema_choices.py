"""Unions in a JSON Schema that editors understand: `if` and `then` on the key that tells choices
apart. Of a plain `oneOf` an editor can only say that a whole section fits none of many, and
underlines all of it. Knows neither recipes nor targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

OWN = r"^[^:\s]+:[^:\s]+$"
"""`package.module:object`, which may stand wherever an entry of a table does."""

Schema = dict[str, Any]
Constants = dict[str, str]


def told_apart(schema: Schema, *, own: tuple[str, ...] = ()) -> Schema:
    """The schema with `if` and `then` in the place of each union that has a discriminator. Changed
    in place. The keys `own` may also name an object of the user's, of which nothing is known."""
    definitions = schema.get("$defs", {})
    for part in list(_unions(schema)):
        tag = part["discriminator"]["propertyName"]
        rules = [*_rules(part, {}, definitions, own)]
        del part["discriminator"], part["oneOf"]
        part |= {"type": "object", "required": [tag], "allOf": rules}
    return schema


def _unions(part: Any) -> Iterator[Schema]:
    """The outermost unions."""
    if isinstance(part, dict) and "discriminator" in part:
        yield part
    elif isinstance(part, dict | list):
        for value in part.values() if isinstance(part, dict) else part:
            yield from _unions(value)


def _rules(
    union: Schema, known: Constants, definitions: Schema, own: tuple[str, ...]
) -> Iterator[Schema]:
    """One rule for each choice, flat: editors do not look for choices in lists within lists. Two
    more for the key that tells them apart: which values it has, and where it is missing, which keys
    there are at all."""
    tag = union["discriminator"]["propertyName"]
    choices = [(_value(choice, tag, definitions), choice) for choice in union["oneOf"]]
    allowed: Schema = {"enum": [value for value, _ in choices]}
    if tag in own:
        allowed = {"anyOf": [allowed, {"type": "string", "pattern": OWN}]}
    yield {"if": _being(known), "then": {"properties": {tag: allowed}, "required": [tag]}}
    keys: Schema = {key: {} for _, choice in choices for key in _keys(choice, definitions)}
    yield {
        "if": _being(known) | {"not": {"required": [tag]}},
        "then": {"properties": keys, "additionalProperties": False},
    }
    for value, choice in choices:
        if "discriminator" in choice:
            yield from _rules(choice, {**known, tag: value}, definitions, own)
        else:
            yield {"if": _being({**known, tag: value}), "then": choice}


def _being(constants: Constants) -> Schema:
    """Whether keys have these values."""
    return {
        "properties": {key: {"const": value} for key, value in constants.items()},
        "required": list(constants),
    }


def _value(choice: Schema, tag: str, definitions: Schema) -> str:
    """The value of the key by which a choice is known."""
    if "discriminator" in choice:
        return _value(choice["oneOf"][0], tag, definitions)
    return str(_section(choice, definitions)["properties"][tag]["const"])


def _keys(choice: Schema, definitions: Schema) -> Iterator[str]:
    if "discriminator" in choice:
        for inner in choice["oneOf"]:
            yield from _keys(inner, definitions)
    else:
        yield from _section(choice, definitions)["properties"]


def _section(choice: Schema, definitions: Schema) -> Schema:
    section: Schema = definitions[choice["$ref"].rpartition("/")[2]]
    return section
