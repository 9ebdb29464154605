"""Rewriting a recipe file of format 1 as one of format 2. Owns the new text: comments, order and
layout stay, and only the keys that format 2 calls otherwise are changed. What goes where is in
format1.py.

Of a recipe that `extends` another only its own keys are changed; either may be upgraded first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.recipe.format1 import BACKEND, FORMATS, backends_of, is_format1, moves
from edgekit.recipe.load import load_recipe, resolved, with_bases
from edgekit.yaml_documents.in_place import (
    Replacement,
    edited,
    entry_at,
    first_entry,
    indented,
    items_of,
    removed,
)
from edgekit.yaml_documents.problems import KeyPath
from edgekit.yaml_documents.replace_file import replace_file
from edgekit.yaml_documents.yaml_file import read_text, read_yaml, value_at

INDENT = 2


@dataclass(frozen=True)
class MovedKey:
    """Dotted keys of format 1, and of format 2."""

    before: str
    after: str


@dataclass(frozen=True)
class UpgradeResult:
    """What was changed. Without `moves` the file was of format 2 already; nothing is written."""

    file: Path
    output: Path
    moves: tuple[MovedKey, ...]


def upgrade_recipe(path: str | Path, *, output: str | Path | None = None) -> UpgradeResult:
    """Rewrite a recipe of format 1 as format 2, in place or as the file `output`. Comments, order
    and layout stay. The file is the old or the new one at every instant.

    A recipe that can be loaded must mean the same afterwards, value for value; else nothing is
    written.

    Args:
        path: The recipe's file.
        output: Where the new text goes. Default: the same file.

    Returns:
        Which keys moved where. No moves: it was of format 2 already, and nothing was written.

    Raises:
        UsageError: The file cannot be read or written, is not YAML, or is too unusual to be changed
            without changing what it means.

    Example:
        >>> edgekit.upgrade_recipe("old.yaml").moves[1]
        MovedKey(before='input', after='inputs.input')
        >>> edgekit.load_recipe("old.yaml").recipe.edgekit
        2
    """
    file = Path(path)
    target = file if output is None else Path(output)
    data = read_yaml(file).data
    text, done = _upgraded(read_text(file), data, file)
    if not done:
        return UpgradeResult(file, target, ())
    before = _meaning(file)

    def check(staged: Path) -> None:
        if before is not None and _meaning(staged) != before:
            raise UsageError(
                f"{file}: cannot be rewritten without changing what it means",
                hint="change these keys by hand: " + ", ".join(move.before for move in done),
            )

    replace_file(target, text, check=check)
    return UpgradeResult(file, target, tuple(done))


def _meaning(file: Path) -> dict[str, Any] | None:
    """Every value of a recipe; None for one that is incomplete, such as one that others extend."""
    try:
        return resolved(load_recipe(file).recipe)
    except UsageError:
        return None


def _upgraded(text: str, data: dict[str, Any], file: Path) -> tuple[str, list[MovedKey]]:
    version = list(_version(text, data, file))
    edits, done = _moved(text, data)
    more_edits, more_done = _backends(text, data, file)
    edits += more_edits
    done += more_done
    if is_format1(data) or version:
        done.insert(0, MovedKey("edgekit: 1", "edgekit: 2"))
    return edited(text, [*version, *edits]), done


def _version(text: str, data: dict[str, Any], file: Path) -> Iterator[Replacement]:
    """The new number. A recipe that has none takes it from the one it extends, and must say its own
    when it is upgraded before that one."""
    entry = entry_at(text, ("edgekit",))
    if entry is not None and is_format1(data):
        yield Replacement(entry.value.start_mark.index, entry.end, "2")
    first = first_entry(text)
    if entry is None and first is not None and is_format1(_extended(data, file)):
        yield Replacement(
            first.start, first.start, "edgekit: 2, " if first.in_flow else "edgekit: 2\n"
        )


def _extended(data: dict[str, Any], file: Path) -> Any:
    """The data of the recipe that this one extends, with those that it extends; else empty."""
    return with_bases(file.parent / str(data["extends"])).data if "extends" in data else {}


def _moved(text: str, data: dict[str, Any]) -> tuple[list[Replacement], list[MovedKey]]:
    edits: list[Replacement] = []
    done: list[MovedKey] = []
    groups: dict[KeyPath, list[tuple[KeyPath, KeyPath]]] = {}
    seen: set[int] = set()
    for source, target in moves(data):
        entry = entry_at(text, source)
        if entry is None or entry.start in seen:
            continue  # an alias: it is changed where it is written
        seen.add(entry.start)
        groups.setdefault(target[: len(source)], []).append((source, target))
        done.append(MovedKey(_dotted(source), _dotted(target)))
    for place, group in groups.items():
        edits += _input(text, group) if place == ("inputs",) else _nested(text, group)
    return edits, done


def _input(text: str, group: Sequence[tuple[KeyPath, KeyPath]]) -> Iterator[Replacement]:
    """`input: …` becomes an entry of `inputs`, a line further down where the layout has lines."""
    [(source, target)] = group
    entry = entry_at(text, source)
    assert entry is not None
    outer, inner = target
    if entry.in_flow:
        yield Replacement(entry.start, entry.key_end, f"{outer}: {{{inner}")
        yield Replacement(entry.end, entry.end, "}")
    else:
        yield Replacement(entry.start, entry.key_end, f"{outer}:\n{' ' * INDENT}{inner}")
        yield from indented(entry, INDENT)


def _nested(text: str, group: Sequence[tuple[KeyPath, KeyPath]]) -> Iterator[Replacement]:
    """Keys of one mapping that become one key: written in the place of the first of them."""
    entries = [(entry_at(text, source), source, target) for source, target in group]
    written = sorted((e.start, e, s, t) for e, s, t in entries if e is not None)
    tree: dict[str, Any] = {}
    for _, entry, source, target in written:
        inside = tree
        for key in target[len(source) - 1 : -1]:
            inside = inside.setdefault(str(key), {})
        inside[str(target[-1])] = entry.value_text
    first = written[0][1]
    [(key, value)] = tree.items()
    yield Replacement(first.start, first.end, f"{key}: {_flow(value)}")
    yield from (removed(entry) for _, entry, _, _ in written[1:])


def _flow(value: Any) -> str:
    """Nested text as YAML of one line."""
    if not isinstance(value, dict):
        return str(value)
    return "{" + ", ".join(f"{key}: {_flow(inside)}" for key, inside in value.items()) + "}"


def _backends(
    text: str, data: dict[str, Any], file: Path
) -> tuple[list[Replacement], list[MovedKey]]:
    """`export.formats` and `export.backend` become `export.backends`. One of them may be written in
    a recipe that this one extends."""
    formats = entry_at(text, ("export", "formats"))
    backend = entry_at(text, ("export", "backend"))
    written = [entry for entry in (formats, backend) if entry is not None]
    if not written:
        return [], []
    before = ", ".join(f"export.{entry.key.value}" for entry in written)
    done = [MovedKey(before, "export.backends")]
    names = backends_of(*_effective(data, _extended(data, file)))
    if formats is None:
        only = written[0]
        return [
            Replacement(only.start, only.end, f"backends: [{', '.join(map(str, names))}]")
        ], done
    items = items_of(formats)
    edits = [Replacement(formats.start, formats.key_end, "backends")]
    edits += [
        Replacement(item.start, item.end, str(name))
        for item, name in zip(items, names, strict=False)
    ]
    if backend is not None:
        edits.append(removed(backend))
    return edits, done


def _effective(data: Any, extended: Any) -> tuple[Sequence[Any], Any]:
    """The formats and the backend that count, also where the extended recipe says them in the words
    of format 2."""
    inherited = value_at(extended, ("export",)) or {}
    own = value_at(data, ("export",)) or {}
    backends = inherited.get("backends") or ()
    formats = tuple("litert" if name == "litert" else "executorch" for name in backends) or FORMATS
    backend = "portable" if "portable" in backends else BACKEND
    export = {"formats": formats, "backend": backend, **inherited, **own}
    return export["formats"], export["backend"]


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
