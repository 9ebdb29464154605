"""What a recipe means before anything runs: every value with its origin, and the plan of stages.
Computes, prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.backends.lookup import file_names, load_backend
from edgekit.recipe.lineage import parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe, recipe_sha256, resolved
from edgekit.yaml_documents.problems import KeyPath, Origin


@dataclass(frozen=True)
class ExplainedValue:
    """A resolved value: its dotted path, and where it came from (`file:line:column`, `--set …` or
    `default`)."""

    path: str
    value: Any
    origin: str


@dataclass(frozen=True)
class ExplainedStage:
    """A stage of the plan. `settings` are named from the stage on, `artifacts` are the files it
    becomes; `cached` is None when that is not known."""

    index: int
    name: str
    kind: str
    method: str | None
    parent: str | None
    variant: str | None
    artifacts: tuple[str, ...]
    settings: tuple[ExplainedValue, ...]
    origin: str
    cached: bool | None


@dataclass(frozen=True)
class ExplainedRecipe:
    """A recipe, resolved. `baseline` is the variant that drops and ratios refer to."""

    name: str
    recipe_sha256: str
    baseline: str
    stages: tuple[ExplainedStage, ...]
    values: tuple[ExplainedValue, ...]


def explain(loaded: LoadedRecipe, *, cached: Mapping[str, bool] | None = None) -> ExplainedRecipe:
    """The plan of a recipe: its stages in order, and every value with where it came from.

    Args:
        loaded: A loaded recipe.
        cached: Which results are there already, by the name of the stage.

    Returns:
        The plan. Nothing is run for it.

    Raises:
        Nothing: a loaded recipe is valid.

    Example:
        >>> plan = edgekit.explain(edgekit.load_recipe("quickstart.yaml"))
        >>> plan.baseline, plan.stages[0].artifacts
        ('fp32', ('fp32.pte', 'fp32.tflite'))
    """
    data = resolved(loaded.recipe)
    stages = tuple(
        _stage(loaded, index, data["stages"][index], cached or {})
        for index in range(len(data["stages"]))
    )
    baseline = loaded.recipe.budget.baseline or next(
        stage.variant for stage in stages if stage.variant
    )
    return ExplainedRecipe(
        loaded.recipe.name,
        recipe_sha256(loaded.recipe),
        baseline,
        stages,
        tuple(_values(loaded.origins, data)),
    )


def _stage(
    loaded: LoadedRecipe, index: int, data: dict[str, Any], cached: Mapping[str, bool]
) -> ExplainedStage:
    recipe = loaded.recipe
    path = ("stages", index)
    name = stage_name(recipe, index)
    parent = parent_of(recipe, index)
    variant = data["export"]
    own = {
        key: value
        for key, value in data.items()
        if key not in ("stage", "method", "name", "from", "export")
    }
    return ExplainedStage(
        index=index,
        name=name,
        kind=data["stage"],
        method=data.get("method"),
        parent=None if parent is None else stage_name(recipe, parent),
        variant=variant,
        artifacts=_file_names(loaded, variant) if variant else (),
        settings=tuple(_values(loaded.origins, own, path, shown_from=len(path))),
        origin=str(loaded.origins[path]),
        cached=cached.get(name),
    )


def _file_names(loaded: LoadedRecipe, variant: str) -> tuple[str, ...]:
    names = loaded.recipe.export.backends
    return file_names(variant, [load_backend(name, loaded.path.parent) for name in names])


def _values(
    origins: Mapping[KeyPath, Origin], data: Any, path: KeyPath = (), *, shown_from: int = 0
) -> Iterator[ExplainedValue]:
    """The single values in data. A list is one value, unless it holds mappings or was written in
    several places."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict) and data:
        items = data.items()
    elif isinstance(data, list) and _is_mixed(origins, data, path):
        items = enumerate(data)
    else:
        yield ExplainedValue(".".join(map(str, path[shown_from:])), data, str(origins[path]))
    for key, value in items:
        yield from _values(origins, value, (*path, key), shown_from=shown_from)


def _is_mixed(origins: Mapping[KeyPath, Origin], items: list[Any], path: KeyPath) -> bool:
    sources = {origins[(*path, index)].source for index in range(len(items))} | {
        origins[path].source
    }
    return len(sources) > 1 or any(isinstance(item, dict) for item in items)
