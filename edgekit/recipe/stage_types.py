"""Which stages a recipe may hold: those of the tables in compress/__init__.py, and the methods that
a document names itself (`method: package.module:OBJECT`). Owns the union of their sections and what
is wrong with a user's own method. Imports no torch; a user's module may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import Field, create_model

from edgekit.compress import METHODS, STAGES
from edgekit.compress.lookup import load_method
from edgekit.compress.method import Method
from edgekit.compress.sections import StageBase
from edgekit.errors import ModelError
from edgekit.yaml_documents.problems import KeyPath, Problem
from edgekit.yaml_documents.yaml_file import Document, value_at

Own = Mapping[str, Method]
"""A user's own methods by the names a document calls them."""


def stage_union(own: Own) -> Any:
    """The type of one stage: told apart by its kind (`stage`), then by its `method`."""
    plain = [_section(STAGES.resolve(kind)) for kind in STAGES]
    with_methods = [_method_union(kind, own) for kind in METHODS]
    return Annotated[_union([*plain, *with_methods]), Field(discriminator="stage")]


def _method_union(kind: str, own: Own) -> Any:
    methods = {name: METHODS[kind].resolve(name) for name in METHODS[kind]}
    methods |= {name: method for name, method in own.items() if method.stage == kind}
    sections = [_named_section(name, method) for name, method in methods.items()]
    return Annotated[_union(sections), Field(discriminator="method")]


def _union(members: Sequence[Any]) -> Any:
    # The members are known only now, so that they cannot be written as `A | B`.
    return Union[tuple(members)]  # noqa: UP007


def _section(method: Method) -> type[StageBase]:
    method.section.entry = method
    return method.section


def _named_section(name: str, method: Method) -> type[StageBase]:
    """The section of a method with its name as the only value of `method`: a method does not know
    what the table calls it."""
    named = create_model(
        method.section.__name__,
        __base__=method.section,
        __doc__=method.section.__doc__,
        __module__=method.section.__module__,
        method=(Literal[name], ...),
    )
    named.entry = method
    return named


def own_methods(document: Document, base: Path) -> tuple[dict[str, Method], list[Problem]]:
    """The methods that a document names itself, and what is wrong with those that cannot be used.
    Modules may lie in `base`, the recipe's directory; they are imported now."""
    methods: dict[str, Method] = {}
    problems = []
    for path, kind, name in _own_names(document.data):
        try:
            methods[name] = _loaded(kind, name, base)
        except ModelError as error:
            problems.append(Problem(document.origin_of(path), f"method: {error}", error.hint))
    return methods, problems


def _own_names(data: Any) -> Iterator[tuple[KeyPath, str, str]]:
    """Path, kind of stage and name of each method that is no entry of a table."""
    stages = value_at(data, ("stages",))
    for index in range(len(stages) if isinstance(stages, list) else 0):
        kind = value_at(data, ("stages", index, "stage"))
        name = value_at(data, ("stages", index, "method"))
        if isinstance(kind, str) and kind in METHODS and isinstance(name, str) and ":" in name:
            yield ("stages", index, "method"), kind, name


def _loaded(kind: str, name: str, base: Path) -> Method:
    method = load_method(kind, name, base)
    if method.stage != kind:
        raise ModelError(
            f"{name} is a method of stage {method.stage}, not of {kind}",
            hint=f"write `stage: {method.stage}`",
        )
    return method
