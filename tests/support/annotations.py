"""The types of edgekit that a value can lead a caller to: through annotations of functions, methods
and properties, and through the fields of dataclasses."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import ModuleType, UnionType
from typing import Any


def reachable_types(roots: Iterable[Any]) -> dict[type, str]:
    """Every type of edgekit that functions and classes lead to, with the way to it."""
    ways: dict[type, str] = {}
    for root in roots:
        if inspect.isfunction(root):
            for name, annotation in hints(root).items():
                _follow(annotation, f"{root.__name__}({name})", ways)
        elif isinstance(root, type):
            _follow(root, root.__name__, ways)
    return ways


def hints(owner: Callable[..., Any] | type) -> dict[str, Any]:
    """The annotations as types, also those whose imports only type checkers see."""
    module = sys.modules[owner.__module__]
    return typing.get_type_hints(owner, {**vars(module), **_for_type_checkers(module)})


def _for_type_checkers(module: ModuleType) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                names |= _imported(statement)
    return names


def _imported(statement: ast.stmt) -> dict[str, Any]:
    if isinstance(statement, ast.Import):
        return {a.asname or a.name: importlib.import_module(a.name) for a in statement.names}
    if isinstance(statement, ast.ImportFrom) and statement.module:
        module = importlib.import_module(statement.module)
        return {a.asname or a.name: getattr(module, a.name) for a in statement.names}
    return {}


def _follow(annotation: Any, way: str, ways: dict[type, str]) -> None:
    for kind in _types_in(annotation):
        if kind.__module__.partition(".")[0] == "edgekit" and kind not in ways:
            ways[kind] = way
            for name, inner in _members(kind):
                _follow(inner, f"{way}.{name}", ways)


def _types_in(annotation: Any) -> Iterator[type]:
    arguments = typing.get_args(annotation)
    if arguments or isinstance(annotation, UnionType):
        for argument in arguments:
            yield from _types_in(argument)
    elif isinstance(annotation, list):
        for parameter in annotation:  # of a Callable
            yield from _types_in(parameter)
    elif isinstance(annotation, type):
        yield annotation


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """What the public fields, methods and properties of a class take and give."""
    if dataclasses.is_dataclass(kind):
        types = hints(kind)
        for field in dataclasses.fields(kind):
            yield field.name, types[field.name]
    for name, member in vars(kind).items():
        function = _function_of(member)
        if not name.startswith("_") and function and function.__module__ == kind.__module__:
            for parameter, annotation in hints(function).items():
                yield f"{name}({parameter})", annotation


def _function_of(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    return inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else None
