"""Checking a YAML document against a pydantic model. Owns the translation of pydantic's errors into
problems that people understand, each at the place that was written. Knows no recipe and no target.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edgekit.yaml_documents.problems import KeyPath, Problem, describe, quoted
from edgekit.yaml_documents.yaml_file import Document, value_at


def check(root: Any, document: Document) -> tuple[Any, tuple[Problem, ...]]:
    """Validate strictly, as JSON, against `root`: a model, or an annotated union of models.

    Returns the value, or None, and all problems: those the document came with, then those found
    here."""
    try:
        content = json.dumps(document.data)
        return (
            _adapter(root).validate_json(content, strict=True, by_alias=True, by_name=False),
            document.problems,
        )
    except ValidationError as error:
        problems = _problems(root, document, error.errors(include_url=False))
    known = {problem.origin for problem in document.problems}
    return None, (
        *document.problems,
        *(problem for problem in problems if problem.origin not in known),
    )


def closest(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no choice is near."""
    near = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1)
    return f" (did you mean {quoted(near[0])}?)" if near else ""


def called(path: KeyPath) -> str:
    """What a message calls a value: its key, with the indexes that follow it, e.g. `shape[1]`."""
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"{called(path[:-1])}[{path[-1]}]"
    return path[-1] if re.fullmatch(r"[\w.*-]+", path[-1]) else quoted(path[-1])


@functools.cache
def _adapter(root: Any) -> TypeAdapter[Any]:
    return TypeAdapter(root)


# ---- where an error is --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where an error is in the data, without the tags and labels that pydantic puts into a location
    for unions.

    `model` is the section that holds the last key; `union` is the path of an untagged union on the
    way; `on_key` says that the last key itself is wrong, not its value; `tags` are the choices when
    the place is a tagged union."""

    path: KeyPath
    model: type[BaseModel] | None
    union: KeyPath | None
    on_key: bool
    tags: tuple[str, ...]


def _place(root: Any, location: tuple[str | int, ...]) -> _Place:
    annotation, tag_key = _bare(root)
    path: KeyPath = ()
    model = None
    union = None
    on_key = False
    for part in location:
        if part == "[key]" and get_origin(annotation) is not dict:
            on_key = True
            break
        if _is_union(annotation):
            union = union if tag_key else path
            member = next(
                (m for m in get_args(annotation) if _answers_to(m, tag_key, str(part))), Any
            )
            annotation, tag_key = _bare(member, tag_key)
            continue
        path = (*path, part)
        model = (
            annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
            else None
        )
        annotation, tag_key = _bare(_inside(annotation, part))
    return _Place(path, model, union, on_key, _tags(annotation, tag_key) if tag_key else ())


def _bare(annotation: Any, tag_key: str | None = None) -> tuple[Any, str | None]:
    """A type without its annotations and without `| None`; and the key whose value selects the
    member if it is a tagged union."""
    while True:
        if isinstance(annotation, FieldInfo):
            tag_key = str(annotation.discriminator) if annotation.discriminator else None
            annotation = annotation.annotation
        elif get_origin(annotation) is Annotated:
            annotation, *notes = get_args(annotation)
            keys = [
                note.discriminator
                for note in notes
                if isinstance(note, FieldInfo) and note.discriminator
            ]
            tag_key = str(keys[0]) if keys else tag_key
        elif (
            _is_union(annotation)
            and type(None) in get_args(annotation)
            and len(get_args(annotation)) == 2
        ):
            annotation = next(member for member in get_args(annotation) if member is not type(None))
        else:
            return annotation, tag_key if _is_union(annotation) else None


def _inside(annotation: Any, part: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return next(
            (f for name, f in annotation.model_fields.items() if part in (f.alias, name)), Any
        )
    arguments = get_args(annotation)
    return arguments[-1 if get_origin(annotation) is dict else 0] if arguments else Any


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _answers_to(member: Any, tag_key: str | None, label: str) -> bool:
    """Whether a union's member is the one that pydantic's location calls `label`."""
    return (
        label in _tags(member, tag_key)
        if tag_key
        else getattr(member, "__name__", "") == label.split("[")[0]
    )


def _tags(annotation: Any, tag_key: str) -> tuple[str, ...]:
    annotation, _ = _bare(annotation)
    if _is_union(annotation):
        return tuple(
            dict.fromkeys(tag for member in get_args(annotation) for tag in _tags(member, tag_key))
        )
    return tuple(map(str, get_args(annotation.model_fields[tag_key].annotation)))


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


# ---- what to say --------------------------------------------------------------------------------

_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_LIMITS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
_UNITS = {
    "ms": " of milliseconds",
    "seconds": " of seconds",
    "bytes": " of bytes",
    "percent": " of percent",
    "points": " of percentage points",
    "db": " of decibels",
    "epochs": " of epochs",
}


def _problems(root: Any, document: Document, errors: Sequence[ErrorDetails]) -> list[Problem]:
    placed = [(_place(root, error["loc"]), error) for error in errors]
    # pydantic counts only the items of a list that are right: with any wrong one it also calls the
    # list too short.
    placed = [
        (place, error)
        for place, error in placed
        if not (error["type"] == "too_short" and error["input"])
    ]
    inside = {
        place.union for place, _ in placed if place.union is not None and place.path != place.union
    }
    unions: dict[KeyPath, list[str]] = {}
    problems = []
    for place, error in placed:
        if place.path != place.union:
            problems.append(_problem(place, error, document))
        elif (
            place.path not in inside
        ):  # else one member fits but for what is wrong inside it, and only that is said
            unions.setdefault(place.path, []).append(_EXPECTED.get(error["type"], error["msg"]))
    for path, kinds in unions.items():
        message = (
            f"{called(path)}: expected {' or '.join(kinds)}, got"
            f" {describe(value_at(document.data, path))}"
        )
        problems.append(Problem(document.origin_of(path), message))
    return problems


def _problem(place: _Place, error: ErrorDetails, document: Document) -> Problem:
    kind = error["type"]
    value = error["input"]
    context = error.get("ctx") or {}
    path = place.path
    if kind == "extra_forbidden":
        return Problem(
            document.origin_of(path, of_key=True), *_unknown_key(str(path[-1]), _keys(place.model))
        )
    if kind == "missing":
        origin = document.origin_of(path[:-1], of_key=True)
        return Problem(
            origin,
            f"missing key {quoted(str(path[-1]))}{_within(path[:-1])}",
            _example(place.model, str(path[-1])),
        )
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        origin = document.origin_of(path, of_key=True)
        return Problem(
            origin,
            f"missing key {quoted(tag)}{_within(path)}",
            f"add `{tag}: ` and one of {', '.join(place.tags)}",
        )
    if kind == "union_tag_invalid":
        path = (*path, context["discriminator"].strip("'"))
        return Problem(
            document.origin_of(path),
            _not_among(called(path), value_at(document.data, path), place.tags),
        )
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in re.split(", | or ", context["expected"])]
        hint = "write it without quotes" if value in choices else ""
        return Problem(document.origin_of(path), _not_among(called(path), value, choices), hint)
    if kind == "edgekit":
        path = (*path, *context["key"].split(".")) if context["key"] else path
        return Problem(
            document.origin_of(path, of_key=place.on_key),
            f"{called(path)}: {context['message']}",
            context["hint"],
        )
    return Problem(
        document.origin_of(path, of_key=place.on_key),
        *_wrong_value(kind, called(path), value, context, error["msg"]),
    )


def _wrong_value(
    kind: str, name: str, value: Any, context: dict[str, Any], message: str
) -> tuple[str, str]:
    """Message and hint for a value of the wrong type or out of range."""
    if kind in _EXPECTED:
        unit = _UNITS.get(name.rsplit("_", 1)[-1], "") if kind in ("int_type", "float_type") else ""
        return f"{name}: expected {_EXPECTED[kind]}{unit}, got {describe(value)}", _type_hint(
            kind, value
        )
    if kind in _LIMITS:
        limit = next(iter(context.values()))
        hint = (
            "it is a fraction: write 0.5 for 50 %"
            if kind == "less_than" and limit == 1 and 1 < value <= 100
            else ""
        )
        return (
            (
                f"{name} must be {_LIMITS[kind]}"
                f" {limit if isinstance(limit, int) else format(limit, 'g')}, got {describe(value)}"
            ),
            hint,
        )
    if kind in ("too_short", "too_long"):
        bound = (
            f"at least {context['min_length']}"
            if kind == "too_short"
            else f"at most {context['max_length']}"
        )
        return f"{name}: expected {bound} items, got {context['actual_length']}", ""
    if kind == "string_too_short":
        return f"{name} must not be empty", ""
    return f"{name}: {message}", ""


def _unknown_key(key: str, allowed: list[str]) -> tuple[str, str]:
    suggestion = closest(key, allowed)
    return f"unknown key {quoted(key)}{suggestion}", (
        "" if suggestion else f"allowed here: {', '.join(allowed)}"
    )


def _not_among(name: str, value: Any, choices: Sequence[str]) -> str:
    expected = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    suggestion = closest(value, choices) if isinstance(value, str) else ""
    return f"{name}: expected {expected}, got {describe(value)}{suggestion}"


def _within(path: KeyPath) -> str:
    return f" in {called(path)}" if path else ""


def _example(model: type[BaseModel] | None, key: str) -> str:
    field = (
        next((f for name, f in model.model_fields.items() if key in (f.alias, name)), None)
        if model
        else None
    )
    return (
        f"for instance `{key}: {json.dumps(field.examples[0])}`" if field and field.examples else ""
    )


def _type_hint(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if kind == "bool_type" and isinstance(value, str):
        return "YAML 1.2 knows only `true` and `false`"
    if (
        kind in ("int_type", "float_type")
        and isinstance(value, str)
        and re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", value)
    ):
        return "write it without quotes"
    if kind == "int_type" and isinstance(value, float) and value == int(value):
        return f"write {int(value)}"
    return ""
