"""Inputs and outputs of an artifact as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edgekit.bundle.sizes import allowed
from edgekit.reporting.tables import DASH, new_table, plain
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.bundle.manifest import TensorSpec


def tensor_table(title: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Table:
    """Name, type and shape of each tensor, and what shapes it may have where sizes are dynamic."""
    table = new_table(printable(title, limit=300), "", "name")
    for column in ("type", "shape", "in the file"):
        table.add_column(column, overflow="fold")
    for kind, specs in (("input", inputs), ("output", outputs)):
        for spec in specs:
            shape = plain(allowed(spec))
            table.add_row(kind, plain(spec.name), plain(_type(spec)), shape, _in_file(spec))
    return table


def _type(spec: TensorSpec) -> str:
    if spec.scale is None:
        return spec.dtype
    return f"{spec.dtype}, scale {spec.scale:.4g}, zero point {spec.zero_point}"


def _in_file(spec: TensorSpec) -> Text:
    return plain(spec.file_name) if spec.file_name not in (None, spec.name) else Text(DASH)
