"""Docstrings as running text, for help pages and editors, which wrap lines themselves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

SHOWN = 4


def paragraphs(docstring: str) -> str:
    """A docstring whose paragraphs are one line each. Indented blocks keep their lines.

    >>> paragraphs("First line\\nof a paragraph.\\n\\nThe second.")
    'First line of a paragraph.\\n\\nThe second.'
    """
    blocks = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(block if "\n " in block else block.replace("\n", " ") for block in blocks)


def some(names: Sequence[str]) -> str:
    """The first few of a list of names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
