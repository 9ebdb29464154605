"""How the stages of a recipe hang together: their names, what each continues from, and the line of
stages behind one.

Works on `Link`s, the few facts of a stage that matter here, so that a recipe with mistakes
elsewhere can be judged too (rules.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.recipe.schema import Recipe


@dataclass(frozen=True)
class Link:
    """What a stage says about its place. `kind` is empty when it is not known."""

    kind: str
    name: str | None = None
    from_: str | None = None
    export: str | None = None


def stage_name(recipe: Recipe, index: int) -> str:
    """How a stage is called: its `name`, else the variant it exports, else KIND-N for the N-th
    stage of that kind."""
    return names(_links(recipe))[index]


def parent_of(recipe: Recipe, index: int) -> int | None:
    """The index of the stage that a stage continues from; None for the one that starts from the
    model itself."""
    return parents(_links(recipe))[index]


def lineage(recipe: Recipe, index: int) -> tuple[int, ...]:
    """The stages that lead to a stage, the first one first and the stage itself last."""
    return line(parents(_links(recipe)), index)


def names(links: Sequence[Link]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    stage_names = []
    for link in links:
        counts[link.kind] = counts.get(link.kind, 0) + 1
        stage_names.append(link.name or link.export or f"{link.kind}-{counts[link.kind]}")
    return tuple(stage_names)


def parents(links: Sequence[Link]) -> tuple[int | None, ...]:
    """By index; a stage whose `from` names no earlier stage counts as a start."""
    called = names(links)
    parent_indexes: list[int | None] = []
    for index, link in enumerate(links):
        if link.from_ is None:
            parent_indexes.append(index - 1 if index else None)
        else:
            parent_indexes.append(
                called.index(link.from_) if link.from_ in called[:index] else None
            )
    return tuple(parent_indexes)


def line(parent: Sequence[int | None], index: int) -> tuple[int, ...]:
    before = parent[index]
    return (*line(parent, before), index) if before is not None else (index,)


def links_in(data: Any) -> tuple[Link, ...]:
    """The links in a recipe's data that may be malformed anywhere."""
    stages = data.get("stages") if isinstance(data, dict) else None
    keys = ("stage", "name", "from", "export")
    texts = (
        [[_text(stage, key) for key in keys] for stage in stages]
        if isinstance(stages, list)
        else []
    )
    return tuple(Link(kind or "", *others) for kind, *others in texts)


def _text(mapping: Any, key: str) -> str | None:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, str) else None


def _links(recipe: Recipe) -> tuple[Link, ...]:
    return tuple(
        Link(stage.stage, stage.name, stage.from_, stage.export) for stage in recipe.stages
    )
