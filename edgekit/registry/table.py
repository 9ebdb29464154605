"""A table of names: what a recipe may call by a short name, and where each entry lives.

Owns looking a name up, and what is said when there is no such name. Imports an entry only when it
is asked for, and no torch of its own. Finding a user's own module is factory.py's work."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError
from edgekit.registry.factory import is_object_name, load_object


@dataclass(frozen=True)
class Table:
    """Names of one kind and where their objects live.

    `kind` is what messages call an entry: `model`, `task`. `entries` maps each name to
    `module:object`. Besides these, `resolve` takes a user's own `package.module:object`.

    Raises ValueError for a table that is wrong: a name that is empty or looks like a user's own, a
    place that is not `module:object`, or two names for one object.

    >>> TASKS = Table("task", {"classification": "edgekit.tasks.classification:CLASSIFICATION"})
    >>> "classification" in TASKS
    True
    """

    kind: str
    entries: Mapping[str, str]

    def __post_init__(self) -> None:
        names_by_place: dict[str, str] = {}
        for name, place in self.entries.items():
            if not name or ":" in name:
                raise ValueError(f"table of {self.kind}s: {name!r} cannot be a name")
            if not is_object_name(place):
                raise ValueError(f"{self.kind} {name}: expected `module:object`, got {place!r}")
            if place in names_by_place:
                raise ValueError(
                    f"{self.kind}s {names_by_place[place]} and {name} are one object: {place}"
                )
            names_by_place[place] = name

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def resolve(self, name: str, base: Path | None = None) -> Any:
        """The object of a name; its module is imported now.

        `base` is the recipe's directory (default: the working directory): a user's own module may
        lie in it, and wins over an installed one.

        Raises ModelError: no such entry (with suggestions), or a user's module or object that
        cannot be found or fails when imported."""
        if name in self.entries:
            module_name, _, attribute = self.entries[name].partition(":")
            return getattr(importlib.import_module(module_name), attribute)
        if ":" in name:
            return load_object(name, base or Path.cwd(), self.kind)
        raise ModelError(f"there is no {self.kind} {name!r}", hint=self.hint(name))

    def hint(self, name: str) -> str:
        """What to write instead of a name that is not in the table."""
        near = difflib.get_close_matches(name, self.entries, n=3, cutoff=0.6)
        if near:
            return f"did you mean {' or '.join(near)}?"
        return f"known: {', '.join(self.entries)}; your own: package.module:object"
