"""Samples and what each variant answers, as pictures; and tables that count answers.

Draws values of edgekit.bundle.pictures by their kind and knows no task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgekit.bundle.pictures import (
    Boxes,
    Classes,
    CountTable,
    Marks,
    Mask,
    Numbers,
    Pictures,
    Points,
    Sample,
)
from edgekit.reporting.page.pixels import IGNORED, colour_of, image_uri, mask_colour, mask_uri
from edgekit.reporting.page.values import (
    Absent,
    Block,
    Card,
    Gallery,
    Line,
    Matrix,
    Panel,
    Picture,
    Section,
    Shape,
    Table,
    Tone,
    cells,
)
from edgekit.sanitize import printable

MOST_LINES = 6
"""Below a picture."""
LARGEST_MATRIX = 16
"""A larger table of counts is shown as the pairs that are counted most."""
MOST_PAIRS = 12
MOST_ROWS = 64
WIDEST_HALF = 6
"""Columns of a table of counts that stands beside another."""
SIGNAL_SIZE = (100.0, 40.0)
Names = Sequence[str]


def answers_section(pictures: Pictures | None, classes: Names) -> Section:
    """What the artifacts answer on a few test samples, and how often they take what for what.
    `pictures` None: the bundle has none."""
    if pictures is None:
        why = (
            "the bundle has no pictures: its recipe has `export: {pictures: 0}`, its task draws"
            " nothing, or an earlier edgekit built it"
        )
        absent = Absent("what the model answers on samples", why, "edgekit build RECIPE")
        return Section("answers", "Answers on samples", (absent,))
    lead = (
        "What is true of test samples, and what the files answered on the build host, side by side."
    )
    return Section("answers", "Answers on samples", tuple(_blocks(pictures, classes)), lead)


def _blocks(pictures: Pictures, classes: Names) -> Iterator[Block]:
    legend = _legend(pictures.samples, classes)
    for chosen, title in (("first", "The first test samples"), ("worst", _worst_title(pictures))):
        samples = [sample for sample in pictures.samples if sample.chosen == chosen]
        if samples:
            cards = tuple(_card(sample, classes, pictures.error_label) for sample in samples)
            yield Gallery(title, cards, legend, _caption(samples))
    for key, table in pictures.tables.items():
        named = ", ".join(table.column_names) or f"{table.rows} against {table.columns}"
        yield _counts(printable(f"{key}: {named}"), table, classes)


def _worst_title(pictures: Pictures) -> str:
    return printable(
        f"Where {pictures.worst_of} is most wrong, of {pictures.looked_at} test samples"
        f" ({pictures.error_label})"
    )


def _caption(samples: Sequence[Sample]) -> str:
    points = (
        point
        for marks in _all_marks(samples)
        if isinstance(marks, Points)
        for point in marks.points
    )
    return "" if all(point.visible for point in points) else "Faint points are hidden in the image."


def _legend(samples: Sequence[Sample], classes: Names) -> tuple[tuple[str, str], ...]:
    """The colours that are on the pictures, with their classes."""
    masks: set[int] = set()
    boxes: set[int] = set()
    for marks in _all_marks(samples):
        if isinstance(marks, Mask):
            masks |= set(np.unique(marks.pixels.array()).tolist())
        elif isinstance(marks, Boxes):
            boxes |= {box.label for box in marks.boxes}
    of_masks = [(mask_colour(number), _name(number, classes)) for number in sorted(masks)]
    return (*of_masks, *((colour_of(number), _name(number, classes)) for number in sorted(boxes)))


def _all_marks(samples: Sequence[Sample]) -> Iterator[Marks]:
    for sample in samples:
        yield from sample.answers.values()
        if sample.truth:
            yield sample.truth


def _name(number: int, classes: Names) -> str:
    if number < len(classes):
        return printable(classes[number], limit=40)
    return "ignored" if number == IGNORED else f"class {number}"


def _card(sample: Sample, classes: Names, error_label: str) -> Card:
    spatial = any(isinstance(marks, Boxes | Points | Mask) for marks in _all_marks([sample]))
    panels = [_panel("sample" if sample.truth is None else "true", sample, sample.truth, classes)]
    for key, marks in sample.answers.items():
        panel = _panel(key, sample, marks, classes, true=sample.truth, pictured=spatial)
        if key in sample.errors:
            error = printable(f"{error_label} {sample.errors[key]:.3g}")
            panel = replace(panel, lines=(*panel.lines, Line(error, tone="dim")))
        panels.append(panel)
    return Card(f"Test sample {sample.number}", tuple(panels))


def _panel(
    title: str,
    sample: Sample,
    marks: Marks | None,
    classes: Names,
    *,
    true: Marks | None = None,
    pictured: bool = True,
) -> Panel:
    """`true` is what an answer is told right or wrong by; without `pictured` its sample is shown
    elsewhere."""
    title = printable(title, limit=60)
    return Panel(
        title,
        _picture(sample, marks, title, classes) if pictured else None,
        tuple(_lines(marks, true, classes)),
    )


def _picture(sample: Sample, marks: Marks | None, title: str, classes: Names) -> Picture | None:
    seen = f"test sample {sample.number}, {title}"
    if sample.signals:
        width, height = SIGNAL_SIZE
        return Picture(seen, width, height, shapes=tuple(_signal_lines(sample.signals)))
    if sample.image is None:
        return None
    layers = [image_uri(sample.image.array())]
    if isinstance(marks, Mask):
        layers.append(mask_uri(marks.pixels.array()))
    shapes = () if marks is None else tuple(_shapes(marks, classes))
    return Picture(seen, sample.width, sample.height, tuple(layers), shapes)


def _signal_lines(signals: Sequence[Sequence[float]]) -> Iterator[Shape]:
    """One line above the other on one scale."""
    width, height = SIGNAL_SIZE
    low, high = (end(map(end, signals)) for end in (min, max))
    scale = 0.9 * height / max(high - low, 1e-12)
    for number, signal in enumerate(signals):
        places = (
            f"{at * width / (len(signal) - 1):.2f},{0.95 * height - (value - low) * scale:.2f}"
            for at, value in enumerate(signal)
        )
        yield Shape("line", f"var(--series-{1 + number % 7})", points=" ".join(places))


def _shapes(marks: Marks, classes: Names) -> Iterator[Shape]:
    if isinstance(marks, Boxes):
        for box in reversed(marks.boxes):  # the surest on top
            x1, y1, x2, y2 = box.corners
            title = " ".join((_name(box.label, classes), _percent(box.score))).strip()
            size = (x1, y1, max(x2 - x1, 0), max(y2 - y1, 0))
            yield Shape("box", colour_of(box.label), *size, title=title)
    elif isinstance(marks, Points):
        for number, point in enumerate(marks.points):
            colour, hollow = colour_of(number), not point.visible
            yield Shape("point", colour, point.x, point.y, hollow=hollow, title=f"point {number}")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _lines(marks: Marks | None, true: Marks | None, classes: Names) -> Iterator[Line]:
    if isinstance(marks, Classes):
        yield from _class_lines(marks, true, classes)
    elif isinstance(marks, Numbers):
        for value in marks.values:
            yield Line(f"{value:.4g} {marks.unit}".strip())
    elif isinstance(marks, Boxes):
        for box in marks.boxes[:MOST_LINES]:
            name = _name(box.label, classes)
            yield Line(name, _percent(box.score), colour_of(box.label))
        if len(marks.boxes) > MOST_LINES:
            yield Line(f"and {len(marks.boxes) - MOST_LINES} more", tone="dim")
        if not marks.boxes:
            yield Line("nothing", tone="dim")


def _class_lines(marks: Classes, true: Marks | None, classes: Names) -> Iterator[Line]:
    right = {each.label for each in true.classes} if isinstance(true, Classes) else None
    for each in marks.classes:
        tone: Tone = "good" if right is not None and each.label in right else ""
        yield Line(_name(each.label, classes), _percent(each.share), share=each.share, tone=tone)
    if not marks.classes:
        yield Line("none", tone="dim")


def _counts(title: str, table: CountTable, classes: Names) -> Block:
    rows, columns = table.size
    names = [_name(number, classes) for number in range(max(table.size))]
    if table.extra:
        names[-1] = printable(table.extra)
    if not table.column_names and rows > LARGEST_MATRIX:
        return _pairs(title, table, names)
    counts = {(row, column): count for row, column, count in table.cells}
    named = bool(table.column_names)
    return Matrix(
        title,
        printable(f"{table.rows} → {table.columns}" if table.columns else table.rows),
        tuple(map(printable, table.column_names)) if named else tuple(names[:columns]),
        tuple(
            (names[row], tuple(_matrix_row(row, columns, counts, named=named)))
            for row in range(min(rows, MOST_ROWS))
        ),
        f"In {printable(table.counted)}; shaded by the share of the row.",
        half=columns <= WIDEST_HALF,
    )


def _matrix_row(
    row: int, columns: int, counts: Mapping[tuple[int, int], int], *, named: bool
) -> Iterator[tuple[str, float, bool]]:
    """Text, share of the row, and whether it is right: a class that goes with itself, or, where
    columns are no classes, the first."""
    total = sum(counts.get((row, column), 0) for column in range(columns))
    for column in range(columns):
        count = counts.get((row, column), 0)
        right = column == (0 if named else row)
        yield f"{count:,}" if count else "", count / total if total else 0.0, right


def _pairs(title: str, table: CountTable, names: Names) -> Table:
    """What was taken for something else most often."""
    wrong = sorted((cell for cell in table.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    totals: dict[int, int] = {}
    for row, _, count in table.cells:
        totals[row] = totals.get(row, 0) + count
    rows = tuple(
        cells(names[row], names[column], f"{count:,}", f"{100 * count / totals[row]:.1f} %")
        for row, column, count in wrong[:MOST_PAIRS]
    )
    columns = (table.rows, table.columns, table.counted, "of the row")
    return Table(columns, rows, names=2, title=f"{title}: the most frequent mistakes")
