"""A YAML text changed by value, everything else in it kept: comments, order and layout. Knows
neither recipes nor targets; in_place.py changes keys themselves."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML

WIDTH = 10_000
"""Longer lines than anybody writes: none is broken anew."""


class KeptText:
    """A text as data that may be changed, and the text that comes of it."""

    def __init__(self, text: str) -> None:
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = WIDTH
        (
            self._yaml.indent(mapping=2, sequence=4, offset=2)
            if "\n  - " in text
            else self._yaml.indent(mapping=2, sequence=2, offset=0)
        )
        self.data: Any = self._yaml.load(text)

    def text(self) -> str:
        written = io.StringIO()
        self._yaml.dump(self.data, written)
        return written.getvalue()
