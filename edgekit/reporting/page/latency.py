"""Latency of one session: the table, its distribution, and the runs over time with what the device
did meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np

from edgekit.measure.measurement import Measurement
from edgekit.measure.probes import series
from edgekit.measure.runs import ArtifactResult, MeasuredRun
from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_of
from edgekit.reporting.page.style import flag, mark, styles
from edgekit.reporting.page.values import (
    ACCENT,
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
    log_axis,
    thinned,
    with_interval,
)
from edgekit.reporting.tables import DASH
from edgekit.sanitize import printable

CURVE_POINTS = 240
SHOWN = 0.99
"""The part of the samples that the distribution's axis has room for; a single slow one would
squeeze all others."""
PROBE_POINTS = 400


def latency_table(measurement: Measurement, baseline: str) -> Table:
    """Median with its interval over runs, tail, stages, and how stable it was."""
    useless = mark(measurement)
    artifacts = [result.artifact for result in measurement.artifacts]
    rows = []
    for artifact in artifacts:
        summary = measurement.summaries.get(artifact.key)
        base = baseline_of(artifact, artifacts, baseline)
        if summary is None:
            rows.append(cells(artifact.key, Cell("no complete run", tone="bad"), *[DASH] * 9))
            continue
        plain = base is None or base.key == artifact.key
        faster = (
            Cell(DASH)
            if plain or base is None
            else with_interval(numbers.ratio(measurement.latency_ratio(base.key, artifact.key)))
        )
        doubted = measurement.unjudged(artifact.key)
        times = [
            with_interval(numbers.estimate_ms(value))
            for value in (summary.p50, summary.p90, summary.p99)
        ]
        stages = [
            Cell(numbers.milliseconds(value))
            for value in (summary.start_ms, summary.load_ms, summary.first_ms)
        ]
        throughput = Cell(
            numbers.significant(1e9 / summary.p50.value)
            if summary.p50.value
            else numbers.NOT_AVAILABLE
        )
        dim = bool(useless) or doubted.startswith("invalid")
        marked = [
            marked_cell(cell, useless, dim=dim)
            for cell in (times[0], faster, *times[1:], throughput, *stages)
        ]
        spread = f"{100 * summary.mad_ns / summary.p50.value:.1f} %" if summary.p50.value else None
        samples = Cell(
            f"{summary.runs} × {round(summary.samples / summary.runs):,}",
            "quick" if doubted.startswith("quick") else "",
        )
        rows.append(cells(artifact.key, *marked, spread, samples))
    columns = (
        "artifact",
        "p50 ms",
        "faster",
        "p90 ms",
        "p99 ms",
        "per second",
        "start ms",
        "load ms",
        "first ms",
        "MAD",
        "runs × samples",
    )
    caption = (
        "95 % intervals. p50: median of the runs' medians, interval over runs. n/a: too few samples"
        " for that percentile."
    )
    return Table(columns, tuple(rows), caption=caption)


def marked_cell(cell: Cell, useless: str, *, dim: bool) -> Cell:
    """A time with the sign of meaningless timings."""
    if cell.text in (DASH, numbers.NOT_AVAILABLE):
        return cell
    return Cell(cell.text + useless, cell.detail, "dim" if dim else cell.tone, cell.share)


def distribution_figures(measurement: Measurement) -> Iterator[Block]:
    """The runs' medians, one dot a run, and the distribution of all samples together."""
    results = [result for result in measurement.artifacts if result.complete_runs]
    if not results:
        yield Absent("the distribution of latencies", "no run finished", "")
        return
    useless = mark(measurement)
    looks = styles(measurement)
    target = printable(measurement.target)
    dots: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for result in results:
        style = looks[result.key]
        name = label(result.key)
        medians = [median / 1e6 for median in result.run_medians_ns]
        trace = {
            "type": "box",
            "orientation": "h",
            "name": name,
            "x": medians,
            "y": [name] * len(medians),
            "boxpoints": "all",
            "jitter": 0.7,
            "pointpos": 0,
        }
        marker = {"color": style.colour, "size": 6, "symbol": style.symbol, "opacity": 0.75}
        line = {"color": style.colour, "width": 1}
        hover = "%{x:.4g} ms<extra>%{y}</extra>"
        dots.append(
            {
                **trace,
                "marker": marker,
                "line": line,
                "fillcolor": "rgba(0,0,0,0)",
                "hovertemplate": hover,
                "showlegend": False,
            }
        )
        times, shares = distribution(result)
        curve = {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times,
            "y": shares,
            "line": {"color": style.colour, "dash": style.dash, "width": 2},
        }
        curves.append(
            {
                **curve,
                "hovertemplate": "%{y:.1f} % within %{x:.4g} ms<extra>%{fullData.name}</extra>",
            }
        )
    ends = [
        bound / 1e6
        for result in results
        for bound in np.quantile(
            np.concatenate([run.steady_ns for run in result.complete_runs]), [0, SHOWN]
        )
    ]
    latency = log_axis(f"ms{useless}", ends)
    medians_axis = log_axis(
        f"ms{useless}", [median / 1e6 for result in results for median in result.run_medians_ns]
    )
    window = [math.log10(max(min(ends), 1e-9)) - 0.02, math.log10(max(*ends, 1e-9)) + 0.05]
    order = [label(result.key) for result in reversed(results)]
    names = axis(type="category", categoryorder="array", categoryarray=order)
    caption = flag(measurement)
    title = f"Median of each run on {target}{useless}"
    yield Figure(
        "medians",
        title,
        tuple(dots),
        layout(x=medians_axis, y=names),
        90 + 44 * len(results),
        caption,
        half=True,
    )
    share = axis("% of samples", range=[-2, 102])
    slowest = max(max(run.steady_ns) for result in results for run in result.complete_runs) / 1e6
    caption = (
        f"The axis ends after {100 * SHOWN:g} % of the samples; the slowest took"
        f" {numbers.significant(slowest)} ms{useless}. {caption}"
    )
    title = f"All samples on {target}{useless}: share within a time"
    yield Figure(
        "distribution",
        title,
        tuple(curves),
        layout(x={**latency, "range": window}, y=share),
        max(330, 90 + 44 * len(results)),
        caption,
        half=True,
    )


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


def timeline_figure(measurement: Measurement) -> Block:
    """Each run's median against its artifact's, when it ran, over what the device showed:
    temperature, clock, other programs."""
    results = [result for result in measurement.artifacts if result.complete_runs]
    moments = [instant(run.started) for result in results for run in result.complete_runs]
    started = [moment for moment in moments if moment]
    if not started:
        return Absent(
            "the runs over time", "no run finished, or the device's times cannot be read", ""
        )
    origin = min(started)
    looks = styles(measurement)
    useless = mark(measurement)
    panels = [("% off the median" + useless, _run_traces(results, origin, looks))]
    panels += [(title, traces) for title, traces in _device_panels(measurement, origin) if traces]
    data = tuple(
        {**trace, "xaxis": "x", "yaxis": _axis_id(at)}
        for at, (_, traces) in enumerate(panels)
        for trace in traces
    )
    sizes = [2.0] + [1.0] * (len(panels) - 1)
    axes = {
        f"yaxis{at + 1 if at else ''}": axis(title, domain=domain)
        for at, ((title, _), domain) in enumerate(zip(panels, _domains(sizes), strict=True))
    }
    whole = (
        layout(
            x=axis("seconds since the first run", anchor=_axis_id(len(panels) - 1)),
            y=axes.pop("yaxis"),
        )
        | axes
    )
    missing = [
        what
        for what, title in (("temperature", "°C"), ("clock frequency", "MHz"))
        if title not in dict(panels)
    ]
    remarks = [
        part
        for part in (
            f"The device shows no {' and no '.join(missing)}." if missing else "",
            flag(measurement),
        )
        if part
    ]
    title = f"Runs over time on {printable(measurement.target)}"
    return Figure("timeline", title, data, whole, 260 + 110 * (len(panels) - 1), " ".join(remarks))


def _run_traces(
    results: list[ArtifactResult], origin: datetime, looks: dict[str, Any]
) -> list[dict[str, Any]]:
    traces = []
    for result in results:
        middle = float(np.median(result.run_medians_ns)) or 1.0
        style = looks[result.key]
        moments = [(instant(run.started) or origin, run.median_ns) for run in result.complete_runs]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label(result.key),
                "x": [round((moment - origin).total_seconds(), 2) for moment, _ in moments],
                "y": [round(100 * (median / middle - 1), 3) for _, median in moments],
                "customdata": [float(f"{median / 1e6:.4g}") for _, median in moments],
                "marker": {"color": style.colour, "symbol": style.symbol, "size": 7},
                "hovertemplate": (
                    "%{x:.0f} s: %{customdata} ms, %{y:+.2f} %<extra>%{fullData.name}</extra>"
                ),
            }
        )
    return traces


def _device_panels(
    measurement: Measurement, origin: datetime
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What the probes read between inferences, else what was read before and after the runs."""
    runs = sorted(
        (run for result in measurement.artifacts for run in result.runs),
        key=lambda run: run.started,
    )
    temperatures = _probed(measurement, runs, origin, "temperature_c") or _states(
        runs, origin, lambda state: state.temperatures_c
    )
    yield "°C", temperatures
    clocks = _probed(measurement, runs, origin, "frequency_khz", 1e-3)
    yield (
        "MHz",
        clocks
        or _states(
            runs,
            origin,
            lambda s: {
                c.policy: c.current_khz / 1e3 for c in s.clocks if c.current_khz is not None
            },
        ),
    )
    shares = [(instant(run.started), run.others_share) for run in runs]
    points = [
        (round((moment - origin).total_seconds(), 2), round(100 * share, 2))
        for moment, share in shares
        if moment and share is not None
    ]
    if points:
        yield (
            "% CPU of others",
            [
                {
                    **_line("other programs", points, SOFT),
                    "mode": "markers",
                    "marker": {"color": SOFT, "size": 4},
                }
            ],
        )


def _probed(
    measurement: Measurement,
    runs: list[MeasuredRun],
    origin: datetime,
    kind: Any,
    scale: float = 1.0,
) -> list[dict[str, Any]]:
    points_by_sensor: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        began = instant(run.started)
        if not began or not run.windows:
            continue
        since = (began - origin).total_seconds()
        for name, values in series(measurement.probes, run.windows, kind).items():
            times = [since + (window.at_ns - run.windows[0].at_ns) / 1e9 for window in run.windows]
            read = [
                (round(at, 2), value * scale)
                for at, value in zip(times, values, strict=True)
                if value is not None
            ]
            points_by_sensor.setdefault(name, []).extend(read)
    colours = (ACCENT, SOFT, LINE)
    return [
        _line(name, thinned(sorted(points), PROBE_POINTS), colours[min(at, 2)])
        for at, (name, points) in enumerate(points_by_sensor.items())
        if points
    ]


def _states(runs: list[MeasuredRun], origin: datetime, read: Any) -> list[dict[str, Any]]:
    points_by_sensor: dict[str, list[tuple[float, float | None]]] = {}
    for run in runs:
        if began := instant(run.started):
            for name, value in read(run.before).items():
                points_by_sensor.setdefault(name, []).append(
                    (round((began - origin).total_seconds(), 2), value)
                )
    colours = (ACCENT, SOFT, LINE)
    return [
        _line(name, thinned(points, PROBE_POINTS), colours[min(at, 2)])
        for at, (name, points) in enumerate(points_by_sensor.items())
    ]


def _line(name: str, points: list[Any], colour: str) -> dict[str, Any]:
    trace = {
        "type": "scatter",
        "mode": "lines",
        "name": label(name),
        "x": [at for at, _ in points],
        "y": [value for _, value in points],
    }
    return {
        **trace,
        "line": {"color": colour, "width": 1.5},
        "showlegend": False,
        "hovertemplate": "%{x:.0f} s: %{y:.4~g}<extra>%{fullData.name}</extra>",
    }


def _axis_id(at: int) -> str:
    return "y" if at == 0 else f"y{at + 1}"


def _domains(sizes: list[float], gap: float = 0.06) -> list[list[float]]:
    """Panels from the top, with gaps."""
    room = 1 - gap * (len(sizes) - 1)
    top = 1.0
    domains = []
    for size in sizes:
        bottom = top - room * size / sum(sizes)
        domains.append([max(0.0, bottom), top])
        top = bottom - gap
    return domains


def instant(text: str) -> datetime | None:
    """A time of a stored run; None where it is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
