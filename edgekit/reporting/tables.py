"""What the tables on a terminal are made of. All text that comes from files and devices goes
through `plain`: no markup, no escapes."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.sanitize import printable

MEANINGLESS = "†"
DASH = "–"


def spaced(*parts: RenderableType) -> RenderableType:
    """Parts under one another, and a blank line."""
    return Group(*parts, Text())


def plain(text: str | None, *, limit: int = 100) -> Text:
    return Text(printable(text or "", limit=limit))


def new_table(title: str, *columns: str, caption: str | None = None) -> Table:
    """A table whose first columns are names, which do not wrap."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    table.title = Text(title, style="bold")
    table.caption = Text(caption) if caption else None
    table.title_justify = table.caption_justify = "left"
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def number_columns(table: Table, *columns: str) -> None:
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
