"""The latencies of all stored measurements of a bundle's name on a target, over time. A long
history is drawn in buckets, so that a page stays small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.reporting.page.style import flag, mark, styles
from edgekit.reporting.page.timeline import instant
from edgekit.reporting.page.values import Absent, Block, Figure, axis, label, layout, log_axis
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement
    from edgekit.store.results import HistoryEntry

BUCKETS = 250


def history_figure(measurement: Measurement, past: Sequence[HistoryEntry]) -> Block:
    """Medians over time by artifact key; what is quick or invalid is hollow."""
    series: dict[str, list[HistoryEntry]] = defaultdict(list)
    for result in past:
        series[result.artifact].append(result)
    known = {key: looks for key, looks in styles(measurement).items() if key in series}
    if len({result.id for result in past}) < 2:
        return Absent(
            f"the history on {measurement.target}",
            f"the database has only one measurement of {measurement.bundle_name} there",
        )
    data = tuple(
        trace
        for key, looks in known.items()
        for trace in _traces(key, series[key], looks.colour, looks.symbol)
    )
    useless = mark(measurement)
    whole = layout(
        x=axis(type="date"),
        y=log_axis(f"p50, ms{useless}", [ms for trace in data for ms in trace["y"]]),
    )
    buckets = (
        f" Each point is the median of a bucket; there are {len(past):,} results."
        if any(len(results) > BUCKETS for results in series.values())
        else ""
    )
    caption = (
        f"{len({result.id for result in past}):,} stored measurements; hollow: quick, invalid or"
        f" incomplete.{buckets} {flag(measurement)}"
    )
    title = (
        f"History of {printable(measurement.bundle_name)} on"
        f" {printable(measurement.target)}{useless}"
    )
    return Figure("history", title, data, whole, 340, caption)


def _traces(
    key: str, results: Sequence[HistoryEntry], colour: str, symbol: str
) -> list[dict[str, Any]]:
    """A line, broken where nothing counts, with points that are hollow where they do not count."""
    points = bucketed(results)
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": label(key),
        "x": [when for when, _, _ in points],
        "y": [ms for _, ms, _ in points],
    }
    marker = {
        "color": colour,
        "size": 6,
        "symbol": [symbol + "-open" * (not counts) for _, _, counts in points],
    }
    hover = "%{x|%Y-%m-%d %H:%M}: %{y:.4g} ms<extra>%{fullData.name}</extra>"
    return [
        {**trace, "marker": marker, "line": {"color": colour, "width": 1}, "hovertemplate": hover}
    ]


def bucketed(results: Sequence[HistoryEntry]) -> list[tuple[str, float, bool]]:
    """When, p50 in ms, and whether it counts, oldest first; of more than BUCKETS results the
    medians of equally many, of those that count if any do."""
    dated = sorted(
        (p for p in results if p.p50_ns is not None and instant(p.created)), key=lambda p: p.created
    )
    groups = [
        dated[at[0] : at[-1] + 1]
        for at in np.array_split(np.arange(len(dated)), min(BUCKETS, len(dated)) or 1)
        if len(at)
    ]
    points = []
    for group in groups:
        good = [past for past in group if past.counts]
        median = float(np.median([past.p50_ns or 0.0 for past in good or group]))
        points.append((group[-1].created[:19], float(f"{median / 1e6:.5g}"), bool(good)))
    return points
