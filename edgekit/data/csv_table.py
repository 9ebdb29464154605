"""A table as CSV, for regression and classification: a header, then a sample on each line.

Owns reading the table; each cell that is wrong is named by line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.source import Outline, Request, Source, times
from edgekit.errors import ModelError

NAME = "csv"


@dataclass(frozen=True)
class Table:
    """The chosen columns of a file: `rows` are the cells of each sample, `lines` where they end."""

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]


def load(
    request: Request,
    *,
    path: str,
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    test_fraction: float = 0.2,
) -> tuple[Any, ...]:
    """Samples in memory: the columns `features` (default: all but the target's) as float32 of the
    recipe's shape, and the column or columns `target`.

    A target column of text is the name of a class; `classes` gives their order, and makes classes
    of numbers too. Other targets are float32: of shape (N,), or (N, columns) for a list. The test
    samples are drawn by the recipe's seed, of classes in equal proportion.

    Raises ModelError: a file or column that is not there, features that do not fill the recipe's
    input; and with line and column, a cell that is no number, or no class."""
    targets = [target] if isinstance(target, str) else list(target)
    header = _header(request.base / path)
    chosen = list(features) if features is not None else [c for c in header if c not in targets]
    if len(chosen) != math.prod(request.shape):
        raise ModelError(
            f"data {NAME}: {len(chosen)} columns of features, but the recipe's input is"
            f" {times(request.shape)}",
            hint=f"the table has {', '.join(header)}",
        )
    inputs = _numbers(_table(request.base / path, chosen)).reshape(-1, *request.shape)
    answers = _table(request.base / path, targets)
    if isinstance(target, str) and (classes is not None or not _has_numbers(answers)):
        names = _class_names(answers, classes)
        values: NDArray[Any] = _class_numbers(answers, names)
    else:
        names, values = (), _numbers(answers)
        values = values[:, 0] if isinstance(target, str) else values
    train, test = _split(values, test_fraction, request.seed, bool(names))
    return inputs[train], values[train], inputs[test], values[test], names


def _header(path: Path) -> list[str]:
    return next(_lines(path))[1]


def _table(path: Path, columns: Sequence[str]) -> Table:
    lines = _lines(path)
    _, header = next(lines)
    missing = [column for column in columns if column not in header]
    if missing or not columns:
        raise ModelError(
            f"{path}: there is no column {', '.join(missing) or 'chosen'}",
            hint=f"the table has {', '.join(header)}",
        )
    places = [header.index(column) for column in columns]
    rows, numbers = [], []
    for number, cells in lines:
        if len(cells) != len(header):
            raise ModelError(
                f"{path}, line {number}: {len(cells)} cells, but the header has {len(header)}"
            )
        rows.append([cells[place] for place in places])
        numbers.append(number)
    if not rows:
        raise ModelError(f"{path}: there are no samples")
    return Table(path, tuple(columns), rows, numbers)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is not empty, the header first."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            if not header or len(set(header)) < len(header):
                raise ModelError(f"{path}: the first line must name each column, each name once")
            yield reader.line_num, header
            for cells in reader:
                if cells:
                    yield reader.line_num, [cell.strip() for cell in cells]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{path}: cannot be read: {reason}", hint="data.args.path is relative to the recipe"
        ) from None


def _numbers(table: Table) -> NDArray[np.float32]:
    """All cells, of shape (samples, columns)."""
    values = np.empty((len(table.rows), len(table.columns)), np.float32)
    for row, cells in enumerate(table.rows):
        for place, cell in enumerate(cells):
            values[row, place] = number = _number(cell)
            if not math.isfinite(number):
                raise _wrong_cell(table, row, place, "is no finite number")
    return values


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _has_numbers(table: Table) -> bool:
    return any(not math.isnan(_number(cell)) for [cell] in table.rows)


def _class_names(table: Table, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None:
        return tuple(map(str, classes))
    return tuple(sorted({cell for [cell] in table.rows if cell}))


def _class_numbers(table: Table, names: Sequence[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(names)}
    for row, [cell] in enumerate(table.rows):
        if cell not in numbers:
            raise _wrong_cell(table, row, 0, f"is no class among {', '.join(names)}")
    return np.array([numbers[cell] for [cell] in table.rows], np.int64)


def _wrong_cell(table: Table, row: int, place: int, what: str) -> ModelError:
    return ModelError(
        f"{table.path}, line {table.lines[row]}, column {table.columns[place]}:"
        f" {table.rows[row][place]!r} {what}",
        hint="correct the cell, or take the line out",
    )


def _split(
    values: NDArray[Any], test_fraction: float, seed: int, of_classes: bool
) -> tuple[list[int], list[int]]:
    from edgekit.data.dataset import shuffled
    from edgekit.data.images import stratified

    if of_classes:
        return stratified(values, test_fraction, seed, NAME)
    tested = round(len(values) * test_fraction)
    if not 0 < tested < len(values):
        raise ModelError(
            f"data {NAME}: {len(values)} samples cannot be split for testing by {test_fraction:g}",
            hint="check test_fraction",
        )
    order = shuffled(len(values), seed).tolist()
    return sorted(order[tested:]), sorted(order[:tested])


def outline(args: Mapping[str, Any], base: Path) -> Outline | None:
    """Reads the header, and the target's column for the classes. None without path and target;
    `load` says so."""
    path, target = args.get("path"), args.get("target")
    if not isinstance(path, str) or not isinstance(target, str | list):
        return None
    targets = [target] if isinstance(target, str) else target
    table = _table(base / path, targets)
    features = args.get("features") or [c for c in _header(base / path) if c not in targets]
    of_classes = isinstance(target, str) and (args.get("classes") or not _has_numbers(table))
    names = _class_names(table, args.get("classes")) if of_classes else ()
    return Outline((len(features),), classes=len(names))


CSV = Source(load=load, outline=outline)
