"""Recipes of format 1 as data of format 2, with the place of each value kept.

Owns what changed between the two formats. Everything else of the loader, the checks and the schema
knows format 2 only. Works on data that may be malformed: what it does not understand stays where it
is, and the schema reports it.

    input: {shape: …}                      inputs: {input: {shape: …}}
    export.formats, export.backend         export.backends
    verify.top1_agreement_min_percent      verify.agreement_min_percent
    budget.variants.V.top1_min_percent     budget.variants.V.metrics.top1.min
    budget.variants.V.top1_max_drop_points budget.variants.V.metrics.top1.max_drop
    gate.accuracy_max_drop_points          gate.metrics.top1
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.recipe.format1_schema import KeysOfFormat1
from edgekit.yaml_documents.problems import KeyPath, Origin, Problem
from edgekit.yaml_documents.validation import check
from edgekit.yaml_documents.yaml_file import Document, value_at

FORMATS, BACKEND = ("executorch", "litert"), "xnnpack"
"""What `export` had in format 1 when nothing was written."""
BACKEND_OF_FORMAT = {"executorch": BACKEND, "litert": "litert"}
INPUT = "input"
"""The name of the one input that a recipe of format 1 has."""


def upgraded(document: Document) -> Document:
    """A document of format 1 as one of format 2; any other document as it is.

    A key of format 1 that is wrong is among the problems of the result, and not in its data."""
    if not is_format1(document.data):
        return document
    _, problems = check(KeysOfFormat1, document)
    conversion = _Conversion(document)
    for path in _own_paths(document.data):
        if _is_wrong(path, document, problems):
            conversion.forget(path)
    for source, target in moves(document.data):
        conversion.move(source, target)
    _backends(conversion)
    conversion.data["edgekit"] = 2
    return conversion.document(problems)


def upgraded_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same for plain data, such as the recipe in a bundle's manifest."""
    return dict(upgraded(Document(data, {}, {})).data)


def moves(data: Any) -> list[tuple[KeyPath, KeyPath]]:
    """Where the keys of format 1 in a recipe's data go: paths of format 1 and of format 2. The
    backends are not among them: `backends_of` makes one key of two."""
    everywhere: list[tuple[KeyPath, KeyPath]] = [
        (("input",), ("inputs", INPUT)),
        (("verify", "top1_agreement_min_percent"), ("verify", "agreement_min_percent")),
        (("gate", "accuracy_max_drop_points"), ("gate", "metrics", "top1")),
    ]
    variants = value_at(data, ("budget", "variants"))
    for variant in variants if isinstance(variants, dict) else ():
        limits: KeyPath = ("budget", "variants", variant)
        everywhere += [
            ((*limits, "top1_min_percent"), (*limits, "metrics", "top1", "min")),
            ((*limits, "top1_max_drop_points"), (*limits, "metrics", "top1", "max_drop")),
        ]
    return [(source, target) for source, target in everywhere if _is_written(data, source)]


def backends_of(formats: Sequence[Any], backend: Any) -> list[Any]:
    """What `export.formats` and `export.backend` of format 1 are in format 2: `formats` named what
    a file is for, and `backend` how a `.pte` runs."""
    names = BACKEND_OF_FORMAT | {"executorch": backend}
    return [names.get(name, name) if isinstance(name, str) else name for name in formats]


def is_format1(data: Any) -> bool:
    """Whether data is a recipe that says `edgekit: 1`."""
    return isinstance(data, dict) and type(data.get("edgekit")) is int and data["edgekit"] == 1


class _Conversion:
    """A copy of a document's data under change, with the places of its keys and values."""

    def __init__(self, document: Document) -> None:
        self.data = copy.deepcopy(dict(document.data))
        self.keys = dict(document.keys)
        self.values = dict(document.values)

    def document(self, problems: tuple[Problem, ...]) -> Document:
        return Document(self.data, self.keys, self.values, problems)

    def move(self, source: KeyPath, target: KeyPath) -> None:
        """Put what is written at `source` to `target`, if something is written there and nothing at
        the target."""
        holder = value_at(self.data, source[:-1])
        if not isinstance(holder, dict) or source[-1] not in holder:
            return
        inside = self.data
        for key in target[:-1]:
            inside = inside.setdefault(key, {})
            if not isinstance(inside, dict):
                return
        if target[-1] in inside:
            return
        inside[target[-1]] = holder.pop(source[-1])
        self._move_places(source, target)

    def _move_places(self, source: KeyPath, target: KeyPath) -> None:
        for places in (self.keys, self.values):
            written = {path: places.pop(path) for path in list(places) if _begins(path, source)}
            for end in range(1, len(target)):
                if source in written:
                    places.setdefault(target[:end], written[source])
            places.update({(*target, *path[len(source) :]): at for path, at in written.items()})

    def forget(self, path: KeyPath) -> Origin | None:
        """Remove what is written at a path, and say where it was."""
        holder = value_at(self.data, path[:-1])
        if isinstance(holder, dict):
            holder.pop(path[-1], None)
        origin = self.values.get(path)
        for places in (self.keys, self.values):
            for written in [written for written in places if _begins(written, path)]:
                del places[written]
        return origin


def _begins(path: KeyPath, prefix: KeyPath) -> bool:
    return path[: len(prefix)] == prefix


def _own_paths(data: Any) -> list[KeyPath]:
    """The keys in a recipe's data that only format 1 had and that are checked as such."""
    moved = [source for source, _ in moves(data) if source != ("input",)]
    return [*moved, ("export", "formats"), ("export", "backend")]


def _is_wrong(path: KeyPath, document: Document, problems: tuple[Problem, ...]) -> bool:
    """Whether one of the problems is at what is written at a path, or within it."""
    wrong = {problem.origin for problem in problems}
    return any(
        origin in wrong
        for places in (document.keys, document.values)
        for written, origin in places.items()
        if _begins(written, path)
    )


def _is_written(data: Any, path: KeyPath) -> bool:
    holder = value_at(data, path[:-1])
    return isinstance(holder, dict) and path[-1] in holder


def _backends(conversion: _Conversion) -> None:
    export = conversion.data.get("export")
    if not isinstance(export, dict) or not {"formats", "backend"} & set(export):
        return
    backend = export.get("backend", BACKEND)
    origin = conversion.forget(("export", "backend"))
    if "formats" in export:
        conversion.move(("export", "formats"), ("export", "backends"))
        if isinstance(export.get("backends"), list):
            export["backends"] = backends_of(export["backends"], backend)
        return
    export["backends"] = backends_of(FORMATS, backend)
    if origin is not None:
        conversion.keys["export", "backends"] = origin
        conversion.values["export", "backends"] = origin
