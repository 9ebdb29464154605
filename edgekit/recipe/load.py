"""From a recipe file to a `LoadedRecipe`. Owns `extends`, `--set`, validation, and where each value
came from. What keys mean is in schema.py, what holds between stages in cross_checks.py. Never
imports torch.

`extends: other.yaml` starts from another recipe: mappings are merged key by key, everything else is
replaced. `--set stages.qat.lr=0.1` goes on top: dots lead into mappings, a list is entered by index
or, for stages, by name, and the value is YAML. All paths in a recipe are relative to the recipe
that is loaded, also those written in one that it extends."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from edgekit.errors import UsageError
from edgekit.hashing import canonical_json
from edgekit.recipe.cross_checks import cross_problems
from edgekit.recipe.dotted_keys import KeyRefused, parts_of, path_in, put
from edgekit.recipe.format1 import is_format1, upgraded
from edgekit.recipe.lineage import lineage, parent_of, stage_name
from edgekit.recipe.schema import Recipe, recipe_type
from edgekit.recipe.search_checks import search_problems
from edgekit.recipe.stage_types import own_methods
from edgekit.yaml_documents.fields import beside, check_local_path
from edgekit.yaml_documents.problems import KeyPath, Origin, Problem, describe, quoted, refuse
from edgekit.yaml_documents.validation import check
from edgekit.yaml_documents.yaml_compose import MAX_DEPTH
from edgekit.yaml_documents.yaml_file import Document, parse_yaml, paths_of, read_yaml

__all__ = [
    "DEFAULT",
    "LoadedRecipe",
    "as_loaded",
    "lineage",
    "load_recipe",
    "parent_of",
    "recipe_sha256",
    "resolved",
    "stage_name",
]

MAX_EXTENDS = 8
DEFAULT = Origin("default")


@dataclass(frozen=True)
class LoadedRecipe:
    """A valid recipe, the file it was loaded from, and where each value of `resolved(recipe)` came
    from, by path."""

    recipe: Recipe
    path: Path
    origins: Mapping[KeyPath, Origin]


def load_recipe(path: str | Path, *, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Load and check a recipe.

    Args:
        path: The file, YAML.
        overrides: Values to replace, as `key.path=value`, such as `bench.runs=1`.

    Returns:
        The recipe, its file, and where each of its values came from.

    Raises:
        UsageError: The recipe is not valid. It names every problem at its file, line and column;
            `details["problems"]` has them as data.

    Example:
        >>> loaded = edgekit.load_recipe("quickstart.yaml", overrides=["bench.runs=1"])
        >>> loaded.recipe.name, loaded.recipe.bench.runs
        ('quickstart', 1)
    """
    path = Path(path)
    document = upgraded(_with_overrides(with_bases(path), overrides))
    own, own_problems = own_methods(document, path.parent)
    document = dataclasses.replace(document, problems=(*document.problems, *own_problems))
    recipe, problems = check(recipe_type(own), document)
    problems = (*problems, *cross_problems(document), *search_problems(document))
    if problems:
        refuse(problems)
    return LoadedRecipe(
        recipe, path, {p: document.values.get(p, DEFAULT) for p, _ in paths_of(resolved(recipe))}
    )


def as_loaded(recipe: str | Path | LoadedRecipe, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """A recipe that is loaded already, or the one in a file. Raises what `load_recipe` raises, and
    UsageError for overrides of a recipe that is loaded already."""
    if not isinstance(recipe, LoadedRecipe):
        return load_recipe(recipe, overrides=overrides)
    if overrides:
        raise UsageError(
            "a recipe that is loaded already cannot be overridden",
            hint="give the overrides to load_recipe",
        )
    return recipe


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values under the keys a user writes, with every default filled
    in. Without `search` where nothing is searched."""
    data = recipe.model_dump(mode="json", by_alias=True)
    if not recipe.search.parameters:
        del data["search"]
    return data


def recipe_sha256(recipe: Recipe) -> str:
    """Hash of the resolved recipe: equal for files that mean the same."""
    return hashlib.sha256(canonical_json(resolved(recipe))).hexdigest()


# ---- extends ------------------------------------------------------------------------------------


def with_bases(
    path: Path, extended_by: tuple[Path, ...] = (), named_at: Origin | None = None
) -> Document:
    """Read a recipe and the recipes it extends as one document, whose values may still be wrong.

    Raises UsageError: a file that cannot be read, or that extends one that it cannot."""
    document = read_yaml(path, named_at=named_at)
    if "extends" not in document.data:
        return document
    base = document.data.pop("extends")
    origin = document.origin_of(("extends",))
    chain = (*extended_by, path)
    reason, hint = _refusal(base, path, chain)
    if reason:
        refuse([*document.problems, Problem(origin, f"extends: {reason}", hint)])
    under = with_bases(beside(path.parent, base), chain, origin)
    if is_format1(document.data) and not is_format1(under.data):
        refuse(
            [
                Problem(
                    document.origin_of(("edgekit",)),
                    f"a recipe of format 1 cannot extend {quoted(base)},"
                    " which is of another format",
                    f"edgekit recipe upgrade {path}",
                )
            ]
        )
    if document.data.get("edgekit", 1) != 1:
        under = upgraded(under)
    return _merge(under, document)


def _refusal(base: Any, path: Path, chain: tuple[Path, ...]) -> tuple[str, str]:
    """Why a recipe cannot extend `base`, and what to do; empty if it can."""
    if not isinstance(base, str) or not base:
        return f"expected the file name of another recipe, got {describe(base)}", ""
    try:
        check_local_path(base)
    except PydanticCustomError as error:
        return error.message(), str((error.context or {}).get("hint", ""))
    if os.path.realpath(beside(path.parent, base)) in map(os.path.realpath, chain):
        return f"a circle: {' → '.join([*(file.name for file in chain), Path(base).name])}", ""
    return (
        f"more than {MAX_EXTENDS} recipes extend each other" if len(chain) > MAX_EXTENDS else ""
    ), ""


def _merge(under: Document, over: Document) -> Document:
    data = _merged(under.data, over.data)
    return _settled(
        data,
        {**under.keys, **over.keys},
        {**under.values, **over.values},
        (*under.problems, *over.problems),
    )


def _merged(under: Any, over: Any) -> Any:
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return under | {
        key: _merged(under[key], value) if key in under else value for key, value in over.items()
    }


def _settled(
    data: Any,
    keys: Mapping[KeyPath, Origin],
    values: Mapping[KeyPath, Origin],
    problems: tuple[Problem, ...],
) -> Document:
    """A document with the places of what is still in its data, and not of what was replaced."""
    left = {path for path, _ in paths_of(data)}
    return Document(
        data,
        {p: o for p, o in keys.items() if p in left},
        {p: o for p, o in values.items() if p in left},
        problems,
    )


# ---- --set --------------------------------------------------------------------------------------


def _with_overrides(document: Document, overrides: Sequence[str]) -> Document:
    data = copy.deepcopy(document.data)
    keys = dict(document.keys)
    values = dict(document.values)
    problems = list(document.problems)
    for override in overrides:
        origin = Origin(
            f"--set {override}" if override.isprintable() else f"--set {quoted(override)}"
        )
        try:
            path, value = _parse_override(override, origin, data, problems)
            put(data, path, value)
        except KeyRefused as refused:
            problems.append(Problem(origin, str(refused)))
            continue
        made = [path[:end] for end in range(1, len(path)) if path[:end] not in values]
        for written in [*made, *(below for below, _ in paths_of(value, path))]:
            keys[written] = values[written] = origin
    return _settled(data, keys, values, tuple(problems))


def _parse_override(
    override: str, origin: Origin, data: Any, problems: list[Problem]
) -> tuple[KeyPath, Any]:
    name, equals, text = override.partition("=")
    parts = parts_of(name) if equals else []
    if not parts:
        raise KeyRefused("expected KEY=VALUE, with dots between the keys, e.g. `stages.0.epochs=2`")
    if len(parts) > MAX_DEPTH:
        raise KeyRefused(f"more than {MAX_DEPTH} keys deep")
    if parts[0] == "extends":
        raise KeyRefused("`extends` can only be written in a recipe")
    try:
        value = parse_yaml(text, origin.source)
    except UsageError as error:
        raise KeyRefused(
            f"the value: {error.message.removeprefix(origin.source).partition(': ')[2]}"
        ) from None
    problems.extend(Problem(origin, problem.message, problem.hint) for problem in value.problems)
    return path_in(parts, data), value.data
