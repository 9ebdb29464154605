"""What must hold between the section `search` of a recipe and the rest of it: keys that lead
somewhere, conditions that can be met, a variant and a backend that are there.

Works on the data of the document and takes nothing for granted about them, as cross_checks.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgekit.backends import DEFAULT_BACKENDS
from edgekit.recipe.dotted_keys import KeyRefused, parts_of, path_in
from edgekit.recipe.lineage import links_in
from edgekit.yaml_documents.problems import KeyPath, Problem, describe, quoted
from edgekit.yaml_documents.validation import closest
from edgekit.yaml_documents.yaml_file import Document, value_at

PARAMETERS: KeyPath = ("search", "parameters")


def search_problems(document: Document) -> list[Problem]:
    """All problems of the section, each at the key or value that is to be changed."""
    if value_at(document.data, ("search",)) is None:
        return []
    return [
        problem for rule in (_keys, _conditions, _variant, _backend) for problem in rule(document)
    ]


def _parameters(document: Document) -> dict[str, Any]:
    parameters = value_at(document.data, PARAMETERS)
    return parameters if isinstance(parameters, dict) else {}


def _keys(document: Document) -> Iterator[Problem]:
    for key in _parameters(document):
        try:
            path_in(parts_of(key), document.data)
        except KeyRefused as refused:
            yield Problem(document.origin_of((*PARAMETERS, key), of_key=True), str(refused))


def _conditions(document: Document) -> Iterator[Problem]:
    """A condition is on a parameter before this one, which can have the value."""
    before: dict[str, Any] = {}
    for key, parameter in _parameters(document).items():
        when = value_at(parameter, ("when",))
        for other, value in when.items() if isinstance(when, dict) else ():
            path: KeyPath = (*PARAMETERS, key, "when", other)
            if other not in before:
                yield Problem(
                    document.origin_of(path, of_key=True),
                    f"when: no parameter before this one is {quoted(other)}"
                    f"{closest(other, list(before))}",
                    f"parameters before it: {', '.join(before) or 'none'}",
                )
                continue
            choices = value_at(before[other], ("choices",))
            values = value if isinstance(value, list) else [value]
            missing = [each for each in values if isinstance(choices, list) and each not in choices]
            if missing:
                yield Problem(
                    document.origin_of(path),
                    f"when: {quoted(other)} is never {describe(missing[0])}",
                    "name one of its choices",
                )
        before[key] = parameter


def _variant(document: Document) -> Iterator[Problem]:
    variant = value_at(document.data, ("search", "variant"))
    exports = [link.export for link in links_in(document.data) if link.export]
    if isinstance(variant, str) and variant not in exports:
        yield Problem(
            document.origin_of(("search", "variant")),
            f"variant: no stage exports {quoted(variant)}{closest(variant, exports)}",
            f"exported variants: {', '.join(exports) or 'none'}",
        )


def _backend(document: Document) -> Iterator[Problem]:
    backend = value_at(document.data, ("search", "backend"))
    backends = value_at(document.data, ("export", "backends"))
    named = backends if isinstance(backends, list) else list(DEFAULT_BACKENDS)
    if isinstance(backend, str) and backend not in named:
        yield Problem(
            document.origin_of(("search", "backend")),
            f"backend: {quoted(backend)} is not among export.backends",
            f"there are {', '.join(map(str, named))}",
        )
