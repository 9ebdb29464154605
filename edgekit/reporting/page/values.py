"""What a page is made of: frozen values between the sections that fill them and the template that
draws them. Owns no content.

Text in cells, facts, notes and titles is escaped by the template. Text in figures is read by
plotly, which understands a little HTML of its own, so it must go through `label`. A figure's
colours are names of CSS variables, so that one figure serves light, dark and print."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from edgekit.reporting.numbers import NOT_AVAILABLE
from edgekit.sanitize import printable

Tone = Literal["", "good", "bad", "warn", "dim"]
INK = "var(--ink)"
SOFT = "var(--soft)"
LINE = "var(--line)"
ACCENT = "var(--accent)"
SERIES = tuple(f"var(--series-{number})" for number in range(8))


@dataclass(frozen=True)
class Cell:
    """A table's cell. `detail` stands smaller behind it, such as an interval; `share` (0 to 1)
    draws a bar."""

    text: str
    detail: str = ""
    tone: Tone = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """The first `names` columns hold names, the others numbers, unless a column is listed in
    `texts`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    names: int = 1
    texts: tuple[int, ...] = ()
    title: str = ""
    caption: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A plotly figure: `data` and `layout` as plain JSON values. `title` says what is seen in
    words, also to those who do not see it."""

    name: str
    title: str
    data: tuple[dict[str, Any], ...]
    layout: dict[str, Any]
    height_px: int = 340
    caption: str = ""
    half: bool = False
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    pairs: tuple[tuple[str, str], ...]
    title: str = ""
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Notes:
    """Lines with how serious they are: `invalid`, `warning`, `unknown`, `note`, or `ok`."""

    lines: tuple[tuple[str, str], ...]
    title: str = ""
    kind: ClassVar[str] = "notes"


@dataclass(frozen=True)
class Absent:
    """What is not there, why, and the command that gets it."""

    what: str
    why: str
    command: str = ""
    kind: ClassVar[str] = "absent"


@dataclass(frozen=True)
class Code:
    """Text to copy. `folded` hides it behind its title."""

    text: str
    title: str = ""
    folded: bool = False
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Strip:
    """Operators in their order: for each whether the delegate runs it, and what it is."""

    title: str
    detail: str
    cells: tuple[tuple[bool, str], ...]
    kind: ClassVar[str] = "strip"


@dataclass(frozen=True)
class Heading:
    """Between blocks of a section; `flag` is said beside it, such as that timings mean nothing."""

    text: str
    flag: str = ""
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Shape:
    """What lies on a picture, in its units: a box from (x, y), a point at it, or a line through
    `points`. A hollow one is only hinted at. `title` is said when it is pointed at."""

    kind: Literal["box", "point", "line"]
    colour: str
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    points: str = ""
    hollow: bool = False
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """`width` × `height` units with images over one another (data URIs of PNG, the lowest first)
    and shapes on them. `title` says what is seen."""

    title: str
    width: float
    height: float
    layers: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of text below a picture. `colour` puts a square before it; `share` (0 to 1) draws a
    bar."""

    text: str
    detail: str = ""
    colour: str = ""
    share: float | None = None
    tone: Tone = ""


@dataclass(frozen=True)
class Panel:
    """What is true of a sample, or one answer."""

    title: str
    picture: Picture | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Card:
    """One sample: panels side by side."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Gallery:
    """Samples, with what their colours mean: pairs of colour and name."""

    title: str
    cards: tuple[Card, ...]
    legend: tuple[tuple[str, str], ...] = ()
    caption: str = ""
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Matrix:
    """Counts of rows by columns. Each cell has its text and its share of the row, which shades it;
    `right` marks the cells of what is right."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float, bool], ...]], ...]
    caption: str = ""
    half: bool = False
    kind: ClassVar[str] = "matrix"


Block = Table | Figure | Facts | Notes | Absent | Code | Strip | Heading | Gallery | Matrix


@dataclass(frozen=True)
class Section:
    """`name` is the anchor; `lead` one or two sentences on how to read it."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


def label(text: str, *, limit: int = 60) -> str:
    """Text for plotly: on one line, without control characters, and never read as plotly's
    pseudo-HTML."""
    return html.escape(printable(text, limit=limit))


def cells(*texts: str | Cell | None) -> tuple[Cell, ...]:
    return tuple(
        (
            text
            if isinstance(text, Cell)
            else Cell(NOT_AVAILABLE if text is None else printable(text, limit=300))
        )
        for text in texts
    )


def with_interval(text: str, tone: Tone = "") -> Cell:
    """`4.01 (3.97–4.05)` of edgekit.reporting.numbers as a cell whose interval stands behind."""
    value, _, interval = text.partition(" (")
    return Cell(value, interval.rstrip(")"), tone)


def axis(title: str = "", **settings: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "zeroline": False,
        **settings,
    }


def log_axis(title: str, values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis whose few labels fit a phone: 1, 2 and 5 of each decade where that gives
    three, else more of each."""
    shown = [value for value in values if value > 0]
    if not shown:
        return axis(title)
    low = 0.9 * min(shown)
    high = 1.1 * max(shown)
    decades = [
        10.0**power
        for power in range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    ]
    for steps in (
        (1,),
        (1, 3),
        (1, 2, 5),
        (1, 1.5, 2, 3, 5, 7),
        tuple(1 + at / 10 for at in range(90)),
    ):
        ticks = [decade * step for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 4:
            break
    ticks = [float(f"{tick:.4g}") for tick in thinned(ticks, 6)]
    return axis(
        f"{title}, logarithmic",
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        tickangle=0,
    )


def layout(*, x: Mapping[str, Any], y: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The layout that all figures share; fonts and colours are the page's."""
    legend = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0}
    shared = {"margin": {"l": 8, "r": 12, "t": 8, "b": 8}, "hovermode": "closest", "legend": legend}
    return {**shared, "xaxis": dict(x), "yaxis": dict(y), **settings}


def thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the values, evenly, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]
