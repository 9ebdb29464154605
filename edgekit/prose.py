"""Text for people: docstrings as running text, lists cut short, errors in one line."""

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


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
