"""What a session found out beside latency, as rich tables: operators, the long run, metrics on the
device, energy. Owns layout only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.measure.probes import extremes
from edgekit.metrics import MetricKind, MetricValue
from edgekit.reporting import numbers
from edgekit.reporting.tables import DASH, MEANINGLESS, new_table, number_columns, plain, spaced
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.measure.extra_results import Profile
    from edgekit.measure.measurement import Measurement
    from edgekit.measure.runs import ArtifactResult

OPERATORS_SHOWN = 12


def observations(measurement: Measurement) -> Iterator[RenderableType]:
    """A part for everything that was observed; nothing where nothing was."""
    mark = MEANINGLESS if measurement.timings == "meaningless" else ""
    for result in measurement.artifacts:
        if result.profile:
            yield spaced(profile_part(result.key, result.profile, mark))
    if any(result.sustained for result in measurement.artifacts):
        yield spaced(sustained_table(measurement, mark))
    if any(result.evaluation for result in measurement.artifacts):
        yield spaced(evaluation_table(measurement))
    if any(result.pipeline for result in measurement.artifacts):
        yield spaced(pipeline_table(measurement), *_about_steps(measurement))
    if any(result.energy for result in measurement.artifacts):
        yield spaced(energy_table(measurement), *_without_energy(measurement))


def profile_part(key: str, profile: Profile, mark: str) -> RenderableType:
    """The operators that take most of the time; one line where there is no profile."""
    if profile.unavailable:
        return plain(f"{key}: no time by operator: {profile.unavailable}", limit=300)
    whole = numbers.milliseconds((profile.median_ns or 0) / 1e6)
    title = (
        f"Where {key} spends its time, means of {profile.inferences} profiled inferences (median"
        f" {whole} ms{mark})"
    )
    if profile.below_resolution:
        title += f"; {profile.below_resolution}"
    table = new_table(title, "operator", "module")
    number_columns(table, f"µs{mark}", "% of all")
    ranked = sorted(profile.operators, key=lambda operator: -operator.mean_ns)
    for operator in ranked[:OPERATORS_SHOWN]:
        name = (
            plain(operator.name, limit=60)
            if operator.delegated
            else Text.assemble(plain(operator.name, limit=60), (" not delegated", "yellow"))
        )
        time = (
            "< 1"
            if operator.delegated and operator.mean_ns == 0
            else numbers.significant(operator.mean_ns / 1e3)
        )
        table.add_row(
            name, plain(operator.layer or DASH, limit=40), time, _percent(profile, operator.share)
        )
    if rest := ranked[OPERATORS_SHOWN:]:
        left = sum(operator.mean_ns for operator in rest) / 1e3
        share = sum(operator.share for operator in rest)
        table.add_row(
            Text(f"{len(rest)} others", style="dim"),
            "",
            numbers.significant(left),
            _percent(profile, share),
        )
    return table


def _percent(profile: Profile, share: float) -> str:
    return DASH if profile.below_resolution else f"{100 * share:.1f}"


def sustained_table(measurement: Measurement, mark: str) -> Table:
    """Burst and sustained latency beside one another, and what the device did meanwhile."""
    table = new_table(
        "Sustained, medians in ms: the first second of the long run and its last quarter",
        "artifact",
    )
    number_columns(
        table,
        "seconds",
        f"burst{mark}",
        f"sustained{mark}",
        "slower",
        f"inferences/s{mark}",
        "°C",
        "MHz",
    )
    for result in measurement.artifacts:
        run = result.sustained
        if run is None:
            continue
        burst = run.burst_ns
        late = run.sustained_ns
        slower = f"{100 * (late / burst - 1):+.1f} %" if burst and late else numbers.NOT_AVAILABLE
        rate = numbers.significant(run.curve[-1][2]) if run.curve else numbers.NOT_AVAILABLE
        watched = [
            extremes(measurement.probes, run.windows, kind)
            for kind in ("temperature_c", "frequency_khz")
        ]
        shown = [
            _span([bound * scale for pair in probes.values() for bound in pair])
            for probes, scale in zip(watched, (1, 1e-3), strict=True)
        ]
        name = (
            plain(result.key)
            if not run.throttled
            else Text.assemble(plain(result.key), (f" ({run.throttled})", "yellow"))
        )
        times = [numbers.milliseconds(None if ns is None else ns / 1e6) for ns in (burst, late)]
        table.add_row(name, f"{run.seconds:g}", *times, slower, rate, *shown)
    return table


def evaluation_table(measurement: Measurement) -> Table:
    """The task's metrics of each artifact on the device, a row for each, and how far it is from the
    same artifact on the build host."""
    evaluations = {result.key: result.evaluation for result in measurement.artifacts}
    samples = max(evaluation.samples for evaluation in evaluations.values() if evaluation)
    table = new_table(f"Metrics on the device, {samples} samples", "artifact", "metric")
    number_columns(table, "value (95 %)", "as on the host %", "max abs error", "SNR dB")
    for key, evaluation in evaluations.items():
        if evaluation is None:
            continue
        same = evaluation.agreement_percent
        fidelity = (
            numbers.NOT_AVAILABLE if same is None else f"{same:.2f}",
            f"{evaluation.max_abs_error:.3g}",
            "equal" if evaluation.snr_db is None else f"{evaluation.snr_db:.1f}",
        )
        first, *others = evaluation.metrics or (None,)
        table.add_row(plain(key), _labelled(first), numbers.metric(first), *fidelity)
        for metric in others:
            table.add_row("", _labelled(metric), numbers.metric(metric))
    return table


def _labelled(metric: MetricValue | None) -> Text:
    return plain(f"{metric.label} {metric.unit}".strip() if metric else DASH)


def metric_kinds(measurement: Measurement) -> list[MetricKind]:
    """The metrics that were measured on the device, in the task's order."""
    metrics = [
        metric
        for result in measurement.artifacts
        for metric in (result.evaluation.metrics if result.evaluation else ())
    ]
    return list({metric.name: metric for metric in metrics}.values())


def pipeline_table(measurement: Measurement) -> Table:
    """A sample before, during and after the inference, medians in ms; all of it where all of it
    runs on one machine."""
    mark = MEANINGLESS if measurement.timings == "meaningless" else ""
    table = new_table("Before and after the inference, medians in ms", "artifact")
    number_columns(table, "pre", f"inference{mark}", "post", f"all{mark}")
    for result in measurement.artifacts:
        if result.pipeline:
            table.add_row(plain(result.key), *pipeline_times(measurement, result))
    return table


def pipeline_times(measurement: Measurement, result: ArtifactResult) -> Iterator[str]:
    """Pre, inference, post and all of them, as texts."""
    steps = result.pipeline
    assert steps
    summary = measurement.summaries.get(result.key)
    parts = [steps.pre_ns, summary.p50.value if summary else None, steps.post_ns]
    known = [part for part in parts if part is not None]
    for part in parts:
        yield numbers.NOT_AVAILABLE if part is None else numbers.significant(part / 1e6)
    whole = steps.where == "device" and len(known) == len(parts)
    yield numbers.significant(sum(known) / 1e6) if whole else DASH


def where_timed(measurement: Measurement) -> str:
    """On which machine the steps ran, and why not on the measured device."""
    name = printable(measurement.target)
    steps = [each.pipeline for each in measurement.artifacts if each.pipeline]
    if all(each.where == "device" for each in steps):
        return f"pre and post were timed on {name}, in numpy"
    reasons = dict.fromkeys(each.host_because for each in steps if each.host_because)
    because = f": {printable('; '.join(reasons), limit=300)}" if reasons else ""
    return f"pre and post were timed on this machine, not on {name}{because}"


def _about_steps(measurement: Measurement) -> Iterator[Text]:
    yield plain(where_timed(measurement), limit=400)
    reasons = (each.pipeline.without_post for each in measurement.artifacts if each.pipeline)
    for reason in dict.fromkeys(filter(None, reasons)):
        yield plain(f"no time after the inference: {reason}", limit=300)


def energy_table(measurement: Measurement) -> Table:
    """Energy of one inference, without and with what the idle device takes."""
    table = new_table("Energy, an inference", "artifact", "sensor")
    number_columns(table, "mJ beyond idle", "mJ in all", "idle W", "inferences")
    for result in measurement.artifacts:
        energy = result.energy
        if energy and energy.joules is not None:
            values = [
                numbers.NOT_AVAILABLE if value is None else numbers.significant(value * 1e3)
                for value in (energy.joules, energy.gross_joules)
            ]
            idle = (
                numbers.NOT_AVAILABLE
                if energy.idle_watts is None
                else numbers.significant(energy.idle_watts)
            )
            table.add_row(
                plain(result.key), plain(energy.sensor), *values, idle, str(energy.inferences)
            )
    return table


def _without_energy(measurement: Measurement) -> Iterator[Text]:
    def lacks(result: ArtifactResult) -> str:
        return result.energy.unavailable if result.energy else ""

    for reason in dict.fromkeys(filter(None, map(lacks, measurement.artifacts))):
        yield plain(f"energy is not available: {reason}", limit=300)


def _span(values: list[float]) -> str:
    if not values:
        return numbers.NOT_AVAILABLE
    low = numbers.significant(min(values))
    high = numbers.significant(max(values))
    return low if low == high else f"{low}–{high}"
