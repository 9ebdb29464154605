"""What was found out beside latency: time by operator, the long run, metrics on the device,
energy. Says of each that is missing how to get it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from edgekit.measure.measurement import Measurement
from edgekit.measure.probes import series
from edgekit.measure.runs import ArtifactResult, OutputCheck
from edgekit.metrics import named_metric
from edgekit.reporting import numbers
from edgekit.reporting.extra_results import metric_kinds, pipeline_times, where_timed
from edgekit.reporting.page.build import decibels, metric_cell
from edgekit.reporting.page.style import RUNTIME_LABELS, flag, mark, styles
from edgekit.reporting.page.values import (
    SOFT,
    Absent,
    Block,
    Figure,
    Table,
    axis,
    cells,
    label,
    layout,
    thinned,
)
from edgekit.sanitize import printable

OPERATORS = 16
CURVE_POINTS = 600


def operator_blocks(measurement: Measurement, command: str) -> Iterator[Block]:
    """Bars of the artifacts of one runtime beside one another, by module where the profile knows
    it, else by operator."""
    profiled = [
        result
        for result in measurement.artifacts
        if result.profile and not result.profile.unavailable
    ]
    for runtime in dict.fromkeys(result.artifact.runtime for result in profiled):
        yield _operator_figure(
            measurement, [result for result in profiled if result.artifact.runtime == runtime]
        )
    for reason in dict.fromkeys(
        result.profile.unavailable
        for result in measurement.artifacts
        if result.profile and result.profile.unavailable
    ):
        keys = ", ".join(
            result.key
            for result in measurement.artifacts
            if result.profile and result.profile.unavailable == reason
        )
        yield Absent(f"time by operator of {keys}", reason)
    if not any(result.profile for result in measurement.artifacts):
        yield Absent("time by operator", "it was not requested", f"{command} --profile")


def _operator_figure(measurement: Measurement, results: list[ArtifactResult]) -> Figure:
    times = {result.key: times_by_module(result) for result in results}
    total = defaultdict[str, float](float)
    for by_operator in times.values():
        for name, time in by_operator.items():
            total[name] += time
    ranked = [name for name in sorted(total, key=lambda name: -total[name]) if total[name] > 0][
        :OPERATORS
    ]
    looks = styles(measurement)
    useless = mark(measurement)
    data = tuple(
        {
            "type": "bar",
            "orientation": "h",
            "name": label(key),
            "x": [float(f"{by_operator.get(name, 0.0):.4g}") for name in reversed(ranked)],
            "y": [label(name, limit=36) for name in reversed(ranked)],
            "marker": {"color": looks[key].colour},
            "hovertemplate": "%{x} µs: %{y}<extra>%{fullData.name}</extra>",
        }
        for key, by_operator in reversed(times.items())
    )
    slowed = [
        f"{result.key}: {numbers.milliseconds(result.profile.median_ns / 1e6)} ms"
        for result in results
        if result.profile and result.profile.median_ns
    ]
    unresolved = "".join(
        f"{result.key} is {result.profile.below_resolution}. "
        for result in results
        if result.profile and result.profile.below_resolution
    )
    left = (
        f"{len(total) - len(ranked)} others take less (whole µs are counted). "
        if len(total) > len(ranked)
        else ""
    )
    caption = (
        f"{unresolved}{left}Means with the profiler on; it slows a whole inference to"
        f" {', '.join(slowed)}{useless}. {flag(measurement)}"
    )
    whole = layout(
        x=axis(f"µs per inference{useless}", rangemode="tozero"),
        y=axis(type="category"),
        barmode="group",
        bargap=0.25,
    )
    whole["legend"] = {**whole["legend"], "traceorder": "reversed"}
    title = (
        f"Time by operator on {printable(measurement.target)},"
        f" {RUNTIME_LABELS[results[0].artifact.runtime]}{useless}"
    )
    return Figure(
        f"operators-{results[0].artifact.runtime}",
        title,
        data,
        whole,
        110 + len(ranked) * (12 + 11 * len(results)),
        printable(caption, limit=500),
    )


def times_by_module(result: ArtifactResult) -> dict[str, float]:
    """µs by module, or by operator where the module is not known."""
    time_us = defaultdict[str, float](float)
    for operator in result.profile.operators if result.profile else ():
        outside = "" if operator.delegated else " (not delegated)"
        time_us[(operator.layer or operator.name) + outside] += operator.mean_ns / 1e3
    return time_us


def sustained_blocks(measurement: Measurement, command: str) -> Iterator[Block]:
    """Latency of every second of the long run, with the temperature, and burst and sustained as two
    numbers."""
    results = [
        result for result in measurement.artifacts if result.sustained and result.sustained.curve
    ]
    if not results:
        yield Absent("the long run", "it was not requested", f"{command} --sustained 10m")
        return
    useless = mark(measurement)
    looks = styles(measurement)
    data = list[dict[str, Any]]()
    for result in results:
        curve = thinned(result.sustained.curve if result.sustained else [], CURVE_POINTS)
        line = {"color": looks[result.key].colour, "dash": looks[result.key].dash, "width": 1.5}
        points = {
            "x": [round(at, 2) for at, _, _ in curve],
            "y": [float(f"{median / 1e6:.4g}") for _, median, _ in curve],
        }
        hover = "%{x:.0f} s: %{y} ms<extra>%{fullData.name}</extra>"
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label(result.key),
                **points,
                "line": line,
                "hovertemplate": hover,
            }
        )
    heat = [trace for result in results for trace in _heat(measurement, result)]
    whole = layout(
        x=axis("seconds"),
        y=axis(f"ms{useless}", rangemode="tozero", domain=[0.36, 1.0] if heat else [0.0, 1.0]),
    )
    if heat:
        whole = {
            **whole,
            "yaxis2": axis("°C", domain=[0.0, 0.28]),
            "xaxis": {**whole["xaxis"], "anchor": "y2"},
        }
    title = f"The long run on {printable(measurement.target)}{useless}"
    yield Figure("sustained", title, (*data, *heat), whole, 420 if heat else 320, flag(measurement))
    yield _sustained_table(results, useless)


def _heat(measurement: Measurement, result: ArtifactResult) -> Iterator[dict[str, Any]]:
    windows = result.sustained.windows if result.sustained else ()
    for name, values in list(series(measurement.probes, windows, "temperature_c").items())[:1]:
        points = thinned(
            [
                ((window.at_ns - windows[0].at_ns) / 1e9, value)
                for window, value in zip(windows, values, strict=True)
            ],
            CURVE_POINTS,
        )
        at = {
            "x": [round(at, 2) for at, _ in points],
            "y": [value for _, value in points],
            "yaxis": "y2",
        }
        trace = {"type": "scatter", "mode": "lines", "name": label(f"{result.key}: {name}"), **at}
        yield {
            **trace,
            "line": {"color": SOFT, "width": 1},
            "showlegend": False,
            "hovertemplate": "%{y} °C<extra>%{fullData.name}</extra>",
        }


def _sustained_table(results: list[ArtifactResult], useless: str) -> Table:
    rows = []
    for result in results:
        if (run := result.sustained) is None:
            continue
        burst = run.burst_ns
        late = run.sustained_ns
        slower = f"{100 * (late / burst - 1):+.1f} %" if burst and late else None
        times = [
            numbers.milliseconds(None if ns is None else ns / 1e6) + useless for ns in (burst, late)
        ]
        rows.append(
            cells(
                result.key,
                f"{run.seconds:g} s",
                *times,
                slower,
                numbers.significant(run.curve[-1][2]) + useless,
                run.throttled or "not seen",
            )
        )
    columns = (
        "artifact",
        "length",
        "burst ms",
        "sustained ms",
        "slower",
        "per second",
        "throttled",
    )
    return Table(
        columns,
        tuple(rows),
        texts=(6,),
        caption="Burst: the first second. Sustained: the last quarter. Medians.",
    )


def evaluation_block(measurement: Measurement, command: str) -> Block:
    """The task's metrics of the artifact on the device, and whether its answers are those it gave
    on the build host."""
    kinds = metric_kinds(measurement)
    rows = []
    for result in measurement.artifacts:
        if evaluation := result.evaluation:
            metrics = [named_metric(evaluation.metrics, kind.name) for kind in kinds]
            rows.append(
                cells(
                    result.key,
                    str(evaluation.samples),
                    *(metric_cell(metric) for metric in metrics),
                    numbers.percent(evaluation.agreement_percent),
                    f"{evaluation.max_abs_error:.3g}",
                    decibels(evaluation.snr_db),
                )
            )
    if not rows:
        why = "they were not measured there; those above are of the same files on the build host"
        return Absent("metrics on the device", why, f"{command} --accuracy all")
    headings = [f"{kind.label} (95 %)" for kind in kinds]
    columns = ("artifact", "samples", *headings, "as on the host", "max abs error", "SNR")
    return Table(
        columns,
        tuple(rows),
        title="Metrics on the device, and against the same file on the build host",
    )


def outputs_table(measurement: Measurement) -> Table:
    """The outputs for the bundle's reference samples on the device against those on the build host,
    the worst of all runs."""
    rows = tuple(
        cells(
            result.key,
            check.name,
            _outputs_are(check),
            f"{check.max_abs_error:.3g}",
            decibels(check.snr_db),
            f"{check.cosine:.6f}",
        )
        for result in measurement.artifacts
        for check in result.outputs
    )
    columns = ("artifact", "output", "is", "max abs error", "SNR", "cosine")
    return Table(
        columns, rows, names=2, texts=(2,), title="Reference outputs, device against build host"
    )


def _outputs_are(check: OutputCheck) -> str:
    """How the outputs compare with those of the build host, in a word or three."""
    if check.equal:
        return "equal"
    return "finite" if check.finite else "NaN or infinite"


def pipeline_block(measurement: Measurement, command: str) -> Block:
    """A sample before, during and after the inference."""
    rows = tuple(
        cells(result.key, *pipeline_times(measurement, result))
        for result in measurement.artifacts
        if result.pipeline
    )
    if not rows:
        what = "the time of a sample before and after the inference"
        return Absent(what, "it was not requested", f"{command} --pipeline")
    return Table(
        ("artifact", "pre ms", "inference ms", "post ms", "all ms"),
        rows,
        title="Before and after the inference",
        caption=f"Medians of one sample; {where_timed(measurement)}",
    )


def energy_block(measurement: Measurement, command: str) -> Block:
    """Energy of one inference, or why there is none."""
    rows = []
    for result in measurement.artifacts:
        energy = result.energy
        if energy and energy.joules is not None:
            values = [
                None if value is None else f"{numbers.significant(value * 1e3)} mJ"
                for value in (energy.joules, energy.gross_joules)
            ]
            idle = (
                None if energy.idle_watts is None else f"{numbers.significant(energy.idle_watts)} W"
            )
            rows.append(cells(result.key, energy.sensor, *values, idle, str(energy.inferences)))
    if rows:
        columns = ("artifact", "sensor", "beyond idle", "in all", "idle", "inferences")
        return Table(columns, tuple(rows), names=2, title="Energy of an inference")
    unavailable = next(
        (
            result.energy.unavailable
            for result in measurement.artifacts
            if result.energy and result.energy.unavailable
        ),
        "",
    )
    return (
        Absent("energy", unavailable)
        if unavailable
        else Absent("energy", "it was not requested", f"{command} --energy")
    )
