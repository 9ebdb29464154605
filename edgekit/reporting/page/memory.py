"""Memory of the runner process by stage and by kind, the empty runner apart."""

from __future__ import annotations

from typing import Any

from edgekit.measure.measurement import Measurement
from edgekit.reporting import numbers
from edgekit.reporting.page.values import (
    ACCENT,
    INK,
    LINE,
    SOFT,
    Absent,
    Block,
    Cell,
    Figure,
    Table,
    axis,
    cells,
    label,
    layout,
)
from edgekit.sanitize import printable

STAGES = {"baseline": "empty", "loaded": "loaded", "first": "first", "steady": "steady"}


def memory_blocks(measurement: Measurement) -> tuple[Block, ...]:
    """The waterfall of each artifact, from the empty runner to the peak, and its table."""
    if not any(summary.memory_kinds for summary in measurement.summaries.values()):
        return (Absent("memory", "no run finished, or the device does not report it", ""),)
    return (_figure(measurement), _table(measurement))


def _figure(measurement: Measurement) -> Figure:
    """Resident bytes at each stage: what the empty runner had, and what came on top by kind. The
    three add up to all of it."""
    places: list[list[str]] = [[], []]
    parts: dict[str, list[float]] = {"empty runner": [], "anonymous": [], "file-backed": []}
    peaks: list[tuple[str, float]] = []
    for key, summary in reversed(measurement.summaries.items()):
        empty = summary.memory_kinds.get("baseline")
        for stage, name in reversed(STAGES.items()):
            if (use := summary.memory_kinds.get(stage)) is None:
                continue
            anon, file = (
                (max(0, use.anon - empty.anon), max(0, use.file - empty.file))
                if empty
                else (use.anon, use.file)
            )
            places[0].append(label(key))
            places[1].append(name)
            for part, count in zip(
                parts, (use.anon + use.file - anon - file, anon, file), strict=True
            ):
                parts[part].append(count / 1e6)
        if summary.peak_bytes is not None and "steady" in summary.memory_kinds:
            peaks.append((label(key), summary.peak_bytes / 1e6))
    colours = (LINE, ACCENT, SOFT)
    data: list[dict[str, Any]] = [
        _bar(name, values, places, colour)
        for (name, values), colour in zip(parts.items(), colours, strict=True)
    ]
    marker = {"symbol": "line-ns", "size": 13, "color": INK, "line": {"width": 2, "color": INK}}
    at = {
        "x": [peak for _, peak in peaks],
        "y": [[key for key, _ in peaks], ["steady"] * len(peaks)],
    }
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "peak",
            **at,
            "marker": marker,
            "hovertemplate": "%{x:.3f} MB peak<extra></extra>",
        }
    )
    whole = layout(
        x=axis("MB resident", rangemode="tozero"),
        y=axis(type="multicategory", dividercolor=LINE, showgrid=False),
        barmode="stack",
        bargap=0.3,
    )
    title = f"Memory on {printable(measurement.target)}: from the empty runner to steady inference"
    caption = (
        "On top of the empty runner by kind: anonymous memory, and file-backed pages (the mapped"
        " model and libraries). The line is the peak (VmHWM)."
    )
    return Figure("memory", title, tuple(data), whole, 110 + 20 * len(places[0]), caption)


def _bar(name: str, values: list[float], places: list[list[str]], colour: str) -> dict[str, Any]:
    hover = f"%{{x:.3f}} MB {name}<extra>%{{y}}</extra>"
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": values,
        "y": places,
        "marker": {"color": colour},
        "hovertemplate": hover,
    }


def _table(measurement: Measurement) -> Table:
    rows = []
    for result in measurement.artifacts:
        summary = measurement.summaries.get(result.key)
        if summary is None:
            continue
        marks = [numbers.size(summary.memory_bytes.get(stage)) for stage in STAGES]
        steady = summary.memory_kinds.get("steady")
        kinds = (
            (steady.anon, steady.file, steady.pss, steady.beyond_baseline)
            if steady
            else (None,) * 4
        )
        rows.append(
            cells(
                result.key,
                *marks,
                *(
                    numbers.size(count)
                    for count in (*kinds, summary.peak_bytes, summary.model_bytes)
                ),
                Cell(numbers.size(result.arena_bytes)),
            )
        )
    columns = (
        "artifact",
        *STAGES.values(),
        "anonymous",
        "file-backed",
        "PSS",
        "beyond empty",
        "peak",
        "of the model",
        "planned arena",
    )
    caption = (
        "Medians over runs; the peak is the highest of any run, and of the model is what it adds to"
        " the empty runner at its peak. The columns from anonymous to beyond empty are from the"
        " steady phase. LiteRT does not report its arena."
    )
    return Table(columns, tuple(rows), caption=caption)
