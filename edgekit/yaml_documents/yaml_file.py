"""YAML files as people write them. Owns reading a file safely and `Document`: plain data with the
place where each key and value was written. How text becomes data is in yaml_compose.py; what keys
mean is checked in validation.py."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.yaml_documents.problems import KeyPath, Origin, Problem, describe, quoted, refuse
from edgekit.yaml_documents.yaml_compose import compose

MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Document:
    """Plain data, where each key and each value was written, and the problems that did not stop the
    reading."""

    data: Any
    keys: Mapping[KeyPath, Origin]
    values: Mapping[KeyPath, Origin]
    problems: tuple[Problem, ...] = ()

    def origin_of(self, path: KeyPath, *, of_key: bool = False) -> Origin:
        """The place of a value (or its key); of the nearest thing around it when it is not written
        anywhere."""
        first, second = (self.keys, self.values) if of_key else (self.values, self.keys)
        return (
            first.get(path)
            or second.get(path)
            or (self.origin_of(path[:-1], of_key=True) if path else Origin("default"))
        )


def read_yaml(path: Path, *, named_at: Origin | None = None) -> Document:
    """Read a YAML file whose top is a mapping.

    Problems that leave the rest readable (duplicate keys, tags, NaN) are in `Document.problems`.
    Raises UsageError for a file that cannot be read (reported at `named_at`, the place that names
    the file, if there is one) or is not one YAML mapping."""
    source = str(path)
    document = parse_yaml(read_text(path, named_at=named_at), source)
    if not isinstance(document.data, dict):
        shape = "it is empty" if document.data is None else f"the top is {describe(document.data)}"
        refuse(
            document.problems
            or [
                Problem(
                    document.values[()], f"expected a mapping (key: value) at the top, but {shape}"
                )
            ]
        )
    return document


def read_text(path: Path, *, named_at: Origin | None = None) -> str:
    """The text of a YAML file, line ends as they are and without a byte order mark. Raises
    UsageError as `read_yaml` for a file that cannot be read."""
    source = str(path)
    try:
        content = _read_bytes(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        origin = named_at or Origin(repr(source)[1:-1])
        refuse(
            [
                Problem(
                    origin, f"cannot read {quoted(source)}: {reason}", "give a readable YAML file"
                )
            ]
        )
    return _decode(content, source)


def parse_yaml(text: str, source: str) -> Document:
    """Parse one YAML document of any shape. Raises UsageError when the text is not YAML or goes
    beyond the limits."""
    if control := _NOT_PRINTABLE.search(text):
        where = _origin_at(text, control.start(), source)
        refuse(
            [
                Problem(
                    where,
                    f"character U+{ord(control[0]):04X} is not allowed in YAML",
                    "save the file as plain UTF-8 text",
                )
            ]
        )
    return Document(*compose(text, source))


def paths_of(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value in plain data with its path, outer ones first."""
    yield path, data
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict | list):
        items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield from paths_of(value, (*path, key))


def value_at(data: Any, path: KeyPath) -> Any:
    """What is at a path in plain data, or None."""
    for part in path:
        if isinstance(part, int):
            data = data[part] if isinstance(data, list) and part < len(data) else None
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return data


_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _read_bytes(path: Path) -> bytes:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError("it is a directory" if stat.S_ISDIR(mode) else "it is not a plain file")
    # Non-blocking: a FIFO put in its place since the check must not hang the open.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return content


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        where = _origin_at(before, len(before), source)
        refuse(
            [
                Problem(
                    where,
                    f"not UTF-8: {error.reason} (byte 0x{error.object[error.start]:02x})",
                    "save the file as UTF-8",
                )
            ]
        )


def _origin_at(text: str, index: int, source: str) -> Origin:
    line_start = text.rfind("\n", 0, index) + 1
    return Origin(source, text.count("\n", 0, index) + 1, index - line_start + 1)
