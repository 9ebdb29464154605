"""The runs of one session over time, with what the device did meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np

from edgekit.measure.measurement import Measurement
from edgekit.measure.probes import series
from edgekit.measure.runs import ArtifactResult, MeasuredRun
from edgekit.reporting.page.style import flag, mark, styles
from edgekit.reporting.page.values import (
    ACCENT,
    LINE,
    SOFT,
    Absent,
    Block,
    Figure,
    axis,
    label,
    layout,
    thinned,
)
from edgekit.sanitize import printable

PROBE_POINTS = 400


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
