"""A measurement as tables for a terminal: latency, its distribution, memory, and what to know about
them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_of
from edgekit.reporting.tables import DASH, MEANINGLESS, new_table, number_columns, plain, spaced
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.measure.measurement import Measurement, MeasurementNote
    from edgekit.measure.summary import ArtifactSummary
    from edgekit.stats import QuantileEstimate

STYLES = {"invalid": "bold red", "warning": "yellow", "unknown": "dim", "note": "dim"}


def measurement_section(measurement: Measurement, baseline: str) -> RenderableType:
    """One target: what it is, latencies, and what to know about them."""
    deadline_ms = measurement.settings.deadline_ms
    deadlines = [] if deadline_ms is None else [deadline_table(measurement, deadline_ms)]
    return spaced(
        latency_table(measurement, baseline),
        *deadlines,
        device_line(measurement),
        *notes(measurement),
    )


def device_line(measurement: Measurement) -> Text:
    """Target, device and session in one line."""
    device = measurement.device
    settings = measurement.settings
    cores = device.cpu
    if cores is not None and "×" not in cores:
        cores = f"{device.cpus or '?'}× {cores}"
    what = ", ".join(
        part for part in (device.machine or device.system, cores or device.arch) if part
    )
    session = (
        f"{settings.runs} runs each, {settings.threads} thread{'s' * (settings.threads > 1)},"
        f" {measurement.seconds:.0f} s"
    )
    text = Text.assemble((printable(measurement.target), "bold"), f": {printable(what)}; {session}")
    text.overflow = "fold"
    return text


def latency_table(measurement: Measurement, baseline: str) -> Table:
    """Latency, stages and memory of each artifact; speed-ups against the baseline variant of the
    same format. Times in ms."""
    useless = measurement.timings == "meaningless"
    mark = MEANINGLESS if useless else ""
    caption = (
        f"{MEANINGLESS} meaningless: {printable(measurement.timings_reason)}" if useless else None
    )
    table = new_table(
        f"On {printable(measurement.target)}, times in ms, 95 % intervals",
        "artifact",
        caption=caption,
    )
    number_columns(
        table,
        f"p50{mark}",
        f"faster{mark}",
        f"p90{mark}",
        f"p99{mark}",
        f"load{mark}",
        f"first{mark}",
        "peak RSS",
    )
    artifacts = [result.artifact for result in measurement.artifacts]
    for artifact in artifacts:
        summary = measurement.summaries.get(artifact.key)
        if summary is None:
            table.add_row(plain(artifact.key), Text("no complete run", style="red"))
            continue
        base = baseline_of(artifact, artifacts, baseline)
        faster = (
            DASH
            if base is None or base.key == artifact.key
            else numbers.ratio(measurement.latency_ratio(base.key, artifact.key))
        )
        times = (
            numbers.estimate_ms(summary.p50),
            faster,
            *_tail(summary),
            numbers.milliseconds(summary.load_ms),
            numbers.milliseconds(summary.first_ms),
        )
        marked = [time if time in (DASH, numbers.NOT_AVAILABLE) else time + mark for time in times]
        style = "dim" if useless or measurement.unjudged(artifact.key).startswith("invalid") else ""
        table.add_row(
            plain(artifact.key),
            *(Text(time, style=style) for time in marked),
            numbers.size(summary.peak_bytes),
        )
    return table


def deadline_table(measurement: Measurement, deadline_ms: float) -> Table:
    """How many inferences took longer than they may."""
    mark = MEANINGLESS if measurement.timings == "meaningless" else ""
    title = f"Deadline of {deadline_ms:g} ms on {printable(measurement.target)}, 95 % intervals"
    table = new_table(title, "artifact")
    number_columns(table, "inferences", f"over{mark}", f"over % (95 %){mark}")
    for key, summary in measurement.summaries.items():
        count = str(summary.misses.count) if summary.misses else numbers.NOT_AVAILABLE
        shares = (count, numbers.misses(summary.misses))
        style = "dim" if mark or measurement.unjudged(key).startswith("invalid") else ""
        cells = (Text(share + mark, style=style) for share in shares)
        table.add_row(plain(key), str(summary.samples), *cells)
    return table


def distribution_table(measurement: Measurement) -> Table:
    """Spread of the runs' medians (MAD), percentiles of all counted samples, and what disturbs
    them. Times in ms."""
    table = new_table(
        f"Distribution on {printable(measurement.target)}, times in ms, 95 % intervals", "artifact"
    )
    number_columns(table, "samples", "MAD", "p90", "p99", "outliers %", "unsteady")
    for key, summary in measurement.summaries.items():
        tails = [numbers.estimate_ms(value) for value in (summary.p90, summary.p99)]
        strange = f"{100 * summary.outliers.total / summary.samples:.1f}"
        mad = numbers.milliseconds(summary.mad_ns / 1e6)
        table.add_row(
            plain(key),
            str(summary.samples),
            mad,
            *tails,
            strange,
            f"{summary.unsteady_runs} of {summary.runs}",
        )
    return table


def memory_table(measurement: Measurement) -> Table:
    """Resident memory of the runner process at each mark, medians over runs; at the steady one by
    kind, its share (PSS) and what is beyond the empty runner; the peak, and what of it is the
    model's; and what the runtime plans for activations (LiteRT does not say)."""
    table = new_table(f"Memory on {printable(measurement.target)}", "artifact")
    number_columns(table, "empty", "loaded", "steady", "anon", "files", "PSS", "beyond")
    number_columns(table, "peak", "model", "arena")
    for result in measurement.artifacts:
        summary = measurement.summaries.get(result.key)
        if summary:
            marks = [
                numbers.size(summary.memory_bytes.get(mark))
                for mark in ("baseline", "loaded", "steady")
            ]
            steady = summary.memory_kinds.get("steady")
            parts = (
                (steady.anon, steady.file, steady.pss, steady.beyond_baseline)
                if steady
                else (None,) * 4
            )
            peaks = (summary.peak_bytes, summary.model_bytes, result.arena_bytes)
            kinds = [numbers.size(count) for count in (*parts, *peaks)]
            table.add_row(plain(result.key), *marks, *kinds)
    return table


def notes(measurement: Measurement) -> Iterator[Text]:
    """What a reader must know, the worst first; one line for what several artifacts share."""
    if measurement.failure:
        yield Text.assemble(("ended early: ", "bold red"), printable(measurement.failure))
    grouped: dict[tuple[str, str], list[MeasurementNote]] = {}
    for note in measurement.notes:
        text = note.text.removeprefix(f"{note.artifact}: ")
        grouped.setdefault((note.level, text), []).append(note)
    for (level, text), members in sorted(
        grouped.items(), key=lambda item: list(STYLES).index(item[0][0])
    ):
        about = [note.artifact for note in members if note.artifact]
        whose = f"{', '.join(about)}: " if about else ""
        if len(about) == len(measurement.artifacts) > 1:
            whose = "all artifacts: "
        line = Text.assemble((f"{level}: ", STYLES[level]), printable(whose + text, limit=300))
        line.overflow = "fold"
        yield line


def _tail(summary: ArtifactSummary) -> tuple[str, str]:
    """p90 and p99 without their intervals, which have no room here."""
    return _without_interval(summary.p90), _without_interval(summary.p99)


def _without_interval(value: QuantileEstimate | None) -> str:
    return numbers.NOT_AVAILABLE if value is None else numbers.significant(value.value / 1e6)
