"""Changing a YAML text in place: keys and values are found by the parser, and only their characters
are replaced. Everything else, comments and layout included, stays as it was. Knows neither recipes
nor targets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from edgekit.yaml_documents.problems import KeyPath


@dataclass(frozen=True)
class Replacement:
    """Put `text` in the place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Entry:
    """A key and its value, as the characters they take. `holder` is the mapping they are in, and
    `value` the parser's node."""

    holder: MappingNode
    key: Node
    value: Node
    source: str

    @property
    def start(self) -> int:
        return int(self.key.start_mark.index)

    @property
    def end(self) -> int:
        """The end of the value; of a block, the end of what is written last in it."""
        return self._alias_end() or _last(self.value).end_mark.index

    @property
    def key_end(self) -> int:
        return int(self.key.end_mark.index)

    @property
    def in_flow(self) -> bool:
        """Whether it is written within `{…}`."""
        return bool(self.holder.flow_style)

    @property
    def value_text(self) -> str:
        text = self.source[self.key_end : self.end]
        return text.partition(":")[2].strip()

    def _alias_end(self) -> int:
        """The end of an alias; 0 for any other value. The parser gives what an alias refers to."""
        alias = re.compile(r"\s*:\s+\*[^\s,\]}]+").match(self.source, self.key_end)
        return alias.end() if alias else 0


def entry_at(source: str, path: KeyPath) -> Entry | None:
    """The entry of a path of keys in a YAML text; None where nothing is written."""
    node: Any = _root(source)
    entry = None
    for part in path:
        entry = next((e for e in _entries(node, source) if e.key.value == part), None)
        if entry is None:
            return None
        node = entry.value
    return entry


def first_entry(source: str) -> Entry | None:
    """The first key and value of the text's mapping."""
    return next(_entries(_root(source), source), None)


def items_of(entry: Entry) -> list[Replacement]:
    """The single values of a list, as edits that change nothing."""
    if not isinstance(entry.value, SequenceNode):
        return []
    marks = ((item.start_mark.index, item.end_mark.index) for item in entry.value.value)
    return [Replacement(start, end, entry.source[start:end]) for start, end in marks]


def removed(entry: Entry) -> Replacement:
    """The edit that takes an entry out of its mapping, in which others stay. A comment behind it
    keeps its line."""
    source = entry.source
    start = entry.start
    end = entry.end
    if entry.in_flow:
        comma = re.compile(r"\s*,\s*").match(source, end)
        if comma:
            return Replacement(start, comma.end(), "")
        before = source[:start].rstrip().removesuffix(",").rstrip()
        return Replacement(len(before), end, "")
    rest = re.compile(r"[^\S\n]*").match(source, end)
    behind = rest.end() if rest else end
    if source.startswith("#", behind):
        return Replacement(start, behind, "")
    line_start = source.rfind("\n", 0, start) + 1
    line_end = source.find("\n", end)
    return Replacement(line_start, len(source) if line_end < 0 else line_end + 1, "")


def indented(entry: Entry, by: int) -> Iterator[Replacement]:
    """Edits that indent the lines of a value below the line of its key."""
    line_start = entry.source.find("\n", entry.key_end, entry.end) + 1
    while 0 < line_start < entry.end:
        yield Replacement(line_start, line_start, " " * by)
        line_start = entry.source.find("\n", line_start, entry.end) + 1


def edited(source: str, edits: Sequence[Replacement]) -> str:
    """The text with edits that do not overlap."""
    parts = []
    reached = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += [source[reached : edit.start], edit.text]
        reached = edit.end
    return "".join([*parts, source[reached:]])


def _root(source: str) -> Node | None:
    root: Node | None = YAML(pure=True).compose(source)
    return root


def _entries(node: Node | None, source: str) -> Iterator[Entry]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield Entry(node, key, value, source)


def _last(node: Node) -> Node:
    """What is written last in a node: the parser ends a block where the next one starts."""
    in_lines = isinstance(node, MappingNode | SequenceNode) and not node.flow_style
    if not in_lines or not node.value:
        return node
    last = node.value[-1]
    return _last(last[1] if isinstance(node, MappingNode) else last)
