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
from collections.abc import Mapping
from typing import Any

from edgekit.yaml_documents.problems import KeyPath, Origin
from edgekit.yaml_documents.yaml_file import Document, value_at

BACKEND_OF_FORMAT = {"executorch": "xnnpack", "litert": "litert"}
INPUT = "input"
"""The name of the one input that a recipe of format 1 has."""


def upgraded(document: Document) -> Document:
    """A document of format 1 as one of format 2; any other document as it is."""
    if not is_format1(document.data):
        return document
    conversion = _Conversion(document)
    conversion.move(("input",), ("inputs", INPUT))
    conversion.move(("verify", "top1_agreement_min_percent"), ("verify", "agreement_min_percent"))
    conversion.move(("gate", "accuracy_max_drop_points"), ("gate", "metrics", "top1"))
    variants = value_at(conversion.data, ("budget", "variants"))
    for variant in list(variants) if isinstance(variants, dict) else ():
        limits: KeyPath = ("budget", "variants", variant)
        conversion.move((*limits, "top1_min_percent"), (*limits, "metrics", "top1", "min"))
        conversion.move((*limits, "top1_max_drop_points"), (*limits, "metrics", "top1", "max_drop"))
    _backends(conversion)
    conversion.data["edgekit"] = 2
    return conversion.document(document)


def upgraded_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same for plain data, such as the recipe in a bundle's manifest."""
    return dict(upgraded(Document(data, {}, {})).data)


def is_format1(data: Any) -> bool:
    """Whether data is a recipe that says `edgekit: 1`."""
    return isinstance(data, dict) and type(data.get("edgekit")) is int and data["edgekit"] == 1


class _Conversion:
    """A copy of a document's data under change, with the places of its keys and values."""

    def __init__(self, document: Document) -> None:
        self.data = copy.deepcopy(dict(document.data))
        self.keys = dict(document.keys)
        self.values = dict(document.values)

    def document(self, before: Document) -> Document:
        return Document(self.data, self.keys, self.values, before.problems)

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
        self.keys.pop(path, None)
        return self.values.pop(path, None)


def _begins(path: KeyPath, prefix: KeyPath) -> bool:
    return path[: len(prefix)] == prefix


def _backends(conversion: _Conversion) -> None:
    """`formats` named what a file is for, and `backend` how a `.pte` runs: both are the backend."""
    export = conversion.data.get("export")
    if not isinstance(export, dict) or not {"formats", "backend"} & set(export):
        return
    backend = export.get("backend", "xnnpack")
    origin = conversion.forget(("export", "backend"))
    if "formats" not in export:
        export["backends"] = [backend, "litert"]
        if origin is not None:
            conversion.keys["export", "backends"] = origin
            conversion.values["export", "backends"] = origin
        return
    conversion.move(("export", "formats"), ("export", "backends"))
    formats = export.get("backends")
    if isinstance(formats, list):
        named = BACKEND_OF_FORMAT | {"executorch": backend}
        export["backends"] = [_named(named, format) for format in formats]


def _named(backends: Mapping[str, Any], format: Any) -> Any:
    return backends.get(format, format) if isinstance(format, str) else format
