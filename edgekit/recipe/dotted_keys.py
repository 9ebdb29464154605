"""Keys of a recipe as `--set` and `search.parameters` write them: `stages.qat.train.lr`. Dots lead
into mappings; a list is entered by index or, for stages, by name; a key with dots stands in quotes.

Owns the reading of such a name and what it leads to in plain data. Knows no recipe as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edgekit.recipe.lineage import links_in, names
from edgekit.yaml_documents.problems import KeyPath, describe, quoted
from edgekit.yaml_documents.validation import closest
from edgekit.yaml_documents.yaml_file import value_at

_PART = re.compile(r'"([^"]*)"|([^".]+)')
_PATH = re.compile(r'("[^"]*"|[^".]+)(\.("[^"]*"|[^".]+))*')


class KeyRefused(Exception):
    """A key that leads nowhere; the text says why."""


def parts_of(name: str) -> list[str]:
    """The keys of a dotted name; none where it is no such name."""
    if not _PATH.fullmatch(name):
        return []
    return [in_quotes or plain for in_quotes, plain in _PART.findall(name)]


def path_in(parts: Sequence[str], data: Any) -> KeyPath:
    """The path that the parts of a dotted name lead to in the data; keys that are not there yet are
    taken as they are. Raises KeyRefused."""
    path: KeyPath = ()
    for part in parts:
        key: str | int = _index(part, path, data) if isinstance(data, list) else part
        if path and not isinstance(data, dict | list | None):
            raise KeyRefused(
                f"`{'.'.join(map(str, path))}` is {describe(data)}, and has no key {quoted(part)}"
            )
        data = value_at(data, (key,))
        path = (*path, key)
    return path


def put(data: Any, path: KeyPath, value: Any) -> None:
    """Write a value at a path, with the mappings on the way that are missing."""
    for part in path[:-1]:
        if isinstance(data, dict) and data.get(part) is None:
            data[part] = {}
        data = data[part]
    data[path[-1]] = value


def _index(part: str, path: KeyPath, items: list[Any]) -> int:
    if re.fullmatch(r"[0-9]{1,9}", part):
        if int(part) < len(items):
            return int(part)
        raise KeyRefused(
            f"`{'.'.join(map(str, path))}` has {len(items)} items, the first has index 0"
        )
    called = names(links_in({"stages": items})) if path == ("stages",) else ()
    if part in called:
        return called.index(part)
    what = (
        f"no stage is called {quoted(part)}{closest(part, called)}"
        if called
        else f"{quoted(part)} is not an index"
    )
    raise KeyRefused(f"`{'.'.join(map(str, path))}` is a list, and {what}")
