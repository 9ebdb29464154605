"""From untrusted YAML text to plain data with positions. Owns the core schema of YAML 1.2 and the
limits; reads no files.

`yes` is text, `1:30` is text, `1e-3` is a number; no tags, no merge keys, one document. Nodes are
built from the parser's events with an explicit stack, and depth and expanded size are counted on
the way, so that a deeply nested text or an alias bomb is refused before anything recursive sees it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from edgekit.yaml_documents.problems import KeyPath, Origin, Problem, quoted, refuse

MAX_NODES = 20_000
MAX_DEPTH = 64
MAX_INTEGER = 1 << 63

_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def compose(
    text: str, source: str
) -> tuple[Any, dict[KeyPath, Origin], dict[KeyPath, Origin], tuple[Problem, ...]]:
    """Plain data, the origins of its keys and of its values, and the problems that did not stop the
    reading.

    Raises UsageError when the text is not YAML or goes beyond the limits.
    """
    composer = _Composer(source)
    root = composer.compose(text)
    keys: dict[KeyPath, Origin] = {}
    values: dict[KeyPath, Origin] = {}
    return _flatten(root, (), keys, values), keys, values, tuple(composer.problems)


@dataclass
class _Node:
    """A value and what it holds. `size` and `height` count what it becomes once its aliases are
    written out."""

    origin: Origin
    value: Any
    size: int = 1
    height: int = 1
    anchor: str | None = None
    text: str | None = None


@dataclass
class _Open:
    """A collection whose end has not come yet. A mapping's items are its keys and values in
    turn."""

    node: _Node
    items: list[_Node] = field(default_factory=list)


class _Stop(Exception):
    """The problem just recorded ends the reading."""


class _Composer:
    """Turns the parser's events into nodes: problems are gathered, limits stop it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Node | None] = {}
        self.open: list[_Open] = []
        self.nodes = 0
        self.root: _Node | None = None
        self.reached = Origin(source, 1, 1)

    def compose(self, text: str) -> _Node:
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                self._take(event)
                self.reached = self._origin(event.end_mark)
        except _Stop:
            refuse(self.problems)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._not_yaml(
                error.problem or error.context or "malformed",
                self._origin(mark) if mark else self.reached,
            )
        except (YAMLError, ValueError, LookupError, AttributeError, AssertionError) as error:
            # The parser lets a few slips of its own through on malformed escapes and directives.
            self._not_yaml((str(error).splitlines() or ["malformed"])[0], self.reached)
        return self.root or _Node(Origin(self.source, 1, 1), None)

    def _not_yaml(self, reason: str, origin: Origin) -> NoReturn:
        hint = "check indentation, colons, quotes and brackets there and just above"
        refuse([*self.problems, Problem(origin, f"not YAML: {reason}", hint)])

    def _take(self, event: Any) -> None:
        if isinstance(event, ev.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, ev.AliasEvent):
            self._add(self._aliased(event))
        elif isinstance(event, ev.ScalarEvent):
            self._add(self._anchored(self._scalar(event), event))
        elif isinstance(event, ev.SequenceStartEvent | ev.MappingStartEvent):
            self._refuse_tag(event)
            if event.anchor:
                self.anchors[event.anchor] = None
            self.open.append(_Open(_Node(self._origin(event.start_mark), [], anchor=event.anchor)))
            self._count(1, len(self.open), event)
        elif isinstance(event, ev.SequenceEndEvent | ev.MappingEndEvent):
            self._close(mapping=isinstance(event, ev.MappingEndEvent))

    def _start_document(self, event: Any) -> None:
        if self.root is not None:
            self._stop(
                event,
                "a second document starts here",
                "keep one document in a file; remove the `---`",
            )
        if event.version not in (None, (1, 2)):
            self._problem(
                self._origin(event.start_mark), "only YAML 1.2 is read", "remove the `%YAML` line"
            )

    def _scalar(self, event: Any) -> _Node:
        origin = self._origin(event.start_mark)
        self._refuse_tag(event)
        self._count(1, len(self.open) + 1, event)
        if "\0" in event.value or any("\ud800" <= c <= "\udfff" for c in event.value):
            self._problem(origin, "text with a NUL character or half a surrogate pair")
            return _Node(origin, None, text="")
        plain = event.style is None
        return _Node(
            origin,
            self._resolve(event.value, origin) if plain else event.value,
            text=event.value if plain else None,
        )

    def _resolve(self, text: str, origin: Origin) -> Any:
        """The value of a plain scalar: YAML 1.2.2, section 10.3.2 (core schema)."""
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return bool(_TRUE.fullmatch(text))
        if _INTEGER.fullmatch(text):
            if len(text) <= 80:
                number = int(text, 0) if text.startswith(("0o", "0x")) else int(text)
                if abs(number) < MAX_INTEGER:
                    return number
            self._problem(origin, "a whole number of more than 64 bits")
            return None
        if _NOT_FINITE.fullmatch(text) or (
            _FLOAT.fullmatch(text) and not math.isfinite(float(text))
        ):
            self._problem(origin, "expected a finite number, got NaN or infinity")
            return None
        return float(text) if _FLOAT.fullmatch(text) else text

    def _aliased(self, event: Any) -> _Node:
        target = self.anchors.get(event.anchor)
        if target is None:
            itself = event.anchor in self.anchors
            self._stop(
                event,
                (
                    "an alias inside its own value"
                    if itself
                    else "an alias to an anchor not defined before it"
                ),
            )
        self._count(target.size, len(self.open) + target.height, event)
        return replace(target, origin=self._origin(event.start_mark), anchor=None)

    def _anchored(self, node: _Node, event: Any) -> _Node:
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _close(self, *, mapping: bool) -> None:
        done = self.open.pop()
        node = done.node
        items = done.items
        node.value = self._pairs(items) if mapping else items
        node.size = 1 + sum(item.size for item in items)
        node.height = 1 + max((item.height for item in items), default=0)
        if node.anchor:
            self.anchors[node.anchor] = node
        self._add(node)

    def _pairs(self, items: list[_Node]) -> dict[str, tuple[Origin, _Node]]:
        pairs: dict[str, tuple[Origin, _Node]] = {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            name = key.value if isinstance(key.value, str) else key.text
            if name is None:
                self._problem(key.origin, "a list or mapping as a key; keys are text")
            elif not isinstance(key.value, str):
                self._problem(key.origin, f"the key {quoted(name)} is not text", "put it in quotes")
            elif name == "<<" and key.text is not None:
                hint = "write the keys out; a recipe can also use `extends`"
                self._problem(key.origin, "merge keys (`<<`) are not part of YAML 1.2", hint)
            elif name in pairs:
                self._problem(
                    key.origin,
                    f"duplicate key {quoted(name)} (first at line {pairs[name][0].line})",
                    "keep one of them",
                )
            else:
                # What is not written has no place; the parser gives the next token's.
                pairs[name] = (
                    key.origin,
                    replace(value, origin=key.origin) if value.text == "" else value,
                )
        return pairs

    def _add(self, node: _Node) -> None:
        if self.open:
            self.open[-1].items.append(node)
        else:
            self.root = node

    def _count(self, nodes: int, depth: int, event: Any) -> None:
        self.nodes += nodes
        if depth > MAX_DEPTH:
            self._stop(event, f"nested more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            self._stop(
                event, f"more than {MAX_NODES} values, counting each alias as what it stands for"
            )

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            origin = self._origin(event.start_mark)
            self._problem(
                origin,
                "tags (`!…`) are not allowed: no objects are built from a file",
                "write a plain value",
            )

    def _problem(self, origin: Origin, message: str, hint: str = "") -> None:
        self.problems.append(Problem(origin, message, hint))

    def _stop(self, event: Any, message: str, hint: str = "") -> NoReturn:
        self._problem(self._origin(event.start_mark), message, hint)
        raise _Stop

    def _origin(self, mark: Any) -> Origin:
        return Origin(self.source, mark.line + 1, mark.column + 1)


def _flatten(
    node: _Node, path: KeyPath, keys: dict[KeyPath, Origin], values: dict[KeyPath, Origin]
) -> Any:
    """Plain data of a node; at most MAX_DEPTH deep and MAX_NODES large, by construction."""
    values[path] = node.origin
    if isinstance(node.value, list):
        return [
            _flatten(item, (*path, index), keys, values) for index, item in enumerate(node.value)
        ]
    if isinstance(node.value, dict):
        keys.update({(*path, name): origin for name, (origin, _) in node.value.items()})
        return {
            name: _flatten(item, (*path, name), keys, values)
            for name, (_, item) in node.value.items()
        }
    return node.value
