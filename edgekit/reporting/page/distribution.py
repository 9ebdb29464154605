"""The distribution of one session's latencies: the runs' medians, and all samples together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult
from edgekit.reporting import numbers
from edgekit.reporting.page.style import Style, flag, mark, styles
from edgekit.reporting.page.values import (
    Absent,
    Block,
    Figure,
    axis,
    label,
    layout,
    log_axis,
)
from edgekit.sanitize import printable

CURVE_POINTS = 240
SHOWN = 0.99
"""The part of the samples that the distribution's axis has room for; a single slow one would
squeeze all others."""


def distribution_figures(measurement: Measurement) -> Iterator[Block]:
    """The runs' medians, one dot a run, and the distribution of all samples together."""
    results = [result for result in measurement.artifacts if result.complete_runs]
    if not results:
        yield Absent("the distribution of latencies", "no run finished", "")
        return
    yield _medians_figure(measurement, results)
    yield _shares_figure(measurement, results)


def _medians_figure(measurement: Measurement, results: Sequence[ArtifactResult]) -> Figure:
    useless, looks = mark(measurement), styles(measurement)
    order = [label(result.key) for result in reversed(results)]
    medians = [median / 1e6 for result in results for median in result.run_medians_ns]
    return Figure(
        "medians",
        f"Median of each run on {printable(measurement.target)}{useless}",
        tuple(_dots(result, looks[result.key]) for result in results),
        layout(
            x=log_axis(f"ms{useless}", medians),
            y=axis(type="category", categoryorder="array", categoryarray=order),
        ),
        90 + 44 * len(results),
        flag(measurement),
        half=True,
    )


def _dots(result: ArtifactResult, style: Style) -> dict[str, Any]:
    """The median of each run, around its artifact's line."""
    name = label(result.key)
    medians = [median / 1e6 for median in result.run_medians_ns]
    return {
        "type": "box",
        "orientation": "h",
        "name": name,
        "x": medians,
        "y": [name] * len(medians),
        "boxpoints": "all",
        "jitter": 0.7,
        "pointpos": 0,
        "marker": {"color": style.colour, "size": 6, "symbol": style.symbol, "opacity": 0.75},
        "line": {"color": style.colour, "width": 1},
        "fillcolor": "rgba(0,0,0,0)",
        "hovertemplate": "%{x:.4g} ms<extra>%{y}</extra>",
        "showlegend": False,
    }


def _shares_figure(measurement: Measurement, results: Sequence[ArtifactResult]) -> Figure:
    useless, looks = mark(measurement), styles(measurement)
    ends = [end for result in results for end in _shown_ends_ms(result)]
    window = [math.log10(max(min(ends), 1e-9)) - 0.02, math.log10(max(*ends, 1e-9)) + 0.05]
    slowest = max(max(run.steady_ns) for result in results for run in result.complete_runs) / 1e6
    return Figure(
        "distribution",
        f"All samples on {printable(measurement.target)}{useless}: share within a time",
        tuple(_curve(result, looks[result.key]) for result in results),
        layout(
            x={**log_axis(f"ms{useless}", ends), "range": window},
            y=axis("% of samples", range=[-2, 102]),
        ),
        max(330, 90 + 44 * len(results)),
        f"The axis ends after {100 * SHOWN:g} % of the samples; the slowest took"
        f" {numbers.significant(slowest)} ms{useless}. {flag(measurement)}",
        half=True,
    )


def _shown_ends_ms(result: ArtifactResult) -> list[float]:
    """The fastest sample, and the slowest that the axis has room for."""
    pooled = np.concatenate([run.steady_ns for run in result.complete_runs])
    return [bound / 1e6 for bound in np.quantile(pooled, [0, SHOWN])]


def _curve(result: ArtifactResult, style: Style) -> dict[str, Any]:
    """The share of the samples within each time."""
    times, shares = distribution(result)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": label(result.key),
        "x": times,
        "y": shares,
        "line": {"color": style.colour, "dash": style.dash, "width": 2},
        "hovertemplate": "%{y:.1f} % within %{x:.4g} ms<extra>%{fullData.name}</extra>",
    }


def distribution(result: ArtifactResult) -> tuple[list[float], list[float]]:
    """The empirical distribution of all samples: times in ms and the percentage within them. Both
    tails keep their detail."""
    pooled = np.sort(
        np.concatenate([np.asarray(run.steady_ns, dtype=float) for run in result.complete_runs])
    )
    tails = np.logspace(-4, -1, CURVE_POINTS // 4)
    shares = np.unique(
        np.concatenate([[0.0], tails, np.linspace(0.1, 0.9, CURVE_POINTS // 2), 1 - tails, [1.0]])
    )
    times = np.quantile(pooled, shares, method="inverted_cdf") / 1e6
    return [float(f"{time:.5g}") for time in times], [
        round(float(100 * share), 3) for share in shares
    ]
