"""What the tables on a terminal are made of. All text that comes from files and devices goes
through `plain`: no markup, no escapes. On a narrow terminal a table goes on below itself; no name
and no number is ever broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Column, Table
from rich.text import Text

from edgekit.sanitize import printable

MEANINGLESS = "†"
DASH = "–"
GAP = 2
"""Between two columns."""
PROSE = 24
"""A column of words is put below rather than made narrower."""


class FittedTable(Table):
    """A table that fits the terminal: columns for which there is no room follow below, beside the
    first columns once more. `names` is how many these are."""

    names = 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        widths = [_width(column, console) + GAP for column in self.columns]
        names = _names_that_fit(widths, self.names, width)
        # rich wraps a title at the width of the table: of a narrow one, stray words are left.
        if self.title:
            yield self.title
        for place, group in enumerate(_groups(widths, names, width)):
            if place:
                yield Text()
            part = Table(box=self.box, show_edge=False, pad_edge=False, padding=self.padding)
            _fill(part, [self.columns[index] for index in (*range(names), *group)])
            for column in part.columns if widths[0] + PROSE > width else ():
                column.no_wrap, column.overflow = False, "fold"  # a name that fills the terminal
            yield from console.render(part, options)
        if self.caption:
            yield self.caption


def _names_that_fit(widths: Sequence[int], most: int, width: int) -> int:
    """How many of the first columns can stand before each of the others; at least one."""
    if sum(widths) - GAP <= width:
        return most
    for names in range(most, 1, -1):
        if sum(widths[:names]) + max(widths[names:], default=0) - GAP <= width:
            return names
    return min(1, most)


def _groups(widths: Sequence[int], names: int, width: int) -> Iterator[list[int]]:
    """The columns beside the names, as many at a time as there is room for."""
    free = width + GAP - sum(widths[:names])
    group: list[int] = []
    for index in range(names, len(widths)):
        if group and sum(widths[each] for each in [*group, index]) > free:
            yield group
            group = []
        group.append(index)
    yield group


def _fill(table: Table, columns: Sequence[Column]) -> None:
    """Give a new table the columns of another one, with their cells."""
    for column in columns:
        table.add_column(
            column.header, justify=column.justify, no_wrap=column.no_wrap, overflow=column.overflow
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)


def _width(column: Column, console: Console) -> int:
    """How much room a column needs: that of its widest cell, and of words at least their longest
    one."""
    measured = [console.measure(cell) for cell in (column.header, *column.cells)]
    widest = max(each.maximum for each in measured)
    if column.no_wrap:
        return widest
    return max(min(widest, PROSE), *(each.minimum for each in measured))


def spaced(*parts: RenderableType) -> RenderableType:
    """Parts under one another, and a blank line."""
    return Group(*parts, Text())


def plain(text: str | None, *, limit: int = 100) -> Text:
    return Text(printable(text or "", limit=limit))


def new_table(title: str, *columns: str, caption: str | None = None) -> FittedTable:
    """A table whose first columns are names."""
    table = FittedTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    table.names = len(columns)
    table.title = Text(title, style="bold")
    table.caption = Text(caption, style="italic dim") if caption else None
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def number_columns(table: Table, *columns: str) -> None:
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)


def without_empty(table: FittedTable, *nothing: str) -> FittedTable:
    """The table without the columns beside its names that hold nothing, or only texts that say
    so."""
    empty = [
        column
        for column in table.columns[table.names :]
        if all(str(cell) in ("", *nothing) for cell in column.cells)
    ]
    left = [column for column in table.columns if column not in empty]
    if not table.row_count or len(left) == len(table.columns):
        return table
    fitted = new_table("")
    fitted.names, fitted.title, fitted.caption = table.names, table.title, table.caption
    _fill(fitted, left)
    return fitted
