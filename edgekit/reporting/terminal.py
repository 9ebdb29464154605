"""Builds, measurements and verdicts as rich tables for a terminal of 100 columns. Owns layout only.

All text that comes from files and devices goes through `plain`: no markup, no escapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.metrics import MetricValue, headline, named_metric
from edgekit.reporting import numbers
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Artifact, Comparison, Manifest, TraceRow
    from edgekit.measure.measurement import Measurement, Note
    from edgekit.measure.summary import Summary
    from edgekit.stats import Estimate
    from edgekit.store.results import Row
    from edgekit.verdict.budget import Check

STYLES = {"invalid": "bold red", "warning": "yellow", "unknown": "dim", "note": "dim"}
MEANINGLESS = "†"
DASH = "–"


def summary(
    manifest: Manifest,
    trace: Sequence[TraceRow],
    measurements: Mapping[str, Measurement],
    checks: Sequence[Check],
) -> Iterator[RenderableType]:
    """Everything a build or run has to show, top to bottom: trace, artifacts, each target,
    verdict."""
    baseline = baseline_variant(manifest)
    if trace:
        yield spaced(trace_table(trace))
    yield spaced(artifact_table(manifest.artifacts, baseline), comparisons(manifest.comparisons))
    for measurement in measurements.values():
        yield measurement_section(measurement, baseline)
    if checks:
        yield spaced(budget_table(checks))


def measurement_report(measurement: Measurement) -> Iterator[RenderableType]:
    """All about one stored measurement; ratios against its first variant."""
    artifacts = [result.artifact for result in measurement.artifacts]
    baseline = artifacts[0].variant if artifacts else ""
    heading = (
        f"{measurement.bundle_name} {measurement.bundle_id[:12]}, measured {measurement.created},"
        f" id {measurement.id}"
    )
    yield spaced(plain(heading, limit=300))
    yield spaced(artifact_table(artifacts, baseline))
    yield measurement_section(measurement, baseline)
    yield spaced(distribution_table(measurement))
    yield spaced(memory_table(measurement))


def results_table(rows: Sequence[Row]) -> Table:
    """Stored measurements, one a line."""
    table = new_table("Measurements", "id", "created (UTC)")
    for column in ("bundle", "target", "machine", "artifacts", "runs", "remarks"):
        table.add_column(column, overflow="fold")
    for row in rows:
        flags = {
            "failed": bool(row.failure),
            "invalid": not row.valid,
            "quick": row.quick,
            "timings meaningless": row.timings == "meaningless",
        }
        remarks = Text(", ".join(flag for flag, set_ in flags.items() if set_), style="yellow")
        names = (
            plain(row.bundle_name),
            plain(row.target),
            plain(row.machine),
            str(len(row.artifacts)),
            str(row.runs),
        )
        table.add_row(
            plain(row.id[:12]), plain(row.created[:16].replace("T", " ")), *names, remarks
        )
    return table


def spaced(*parts: RenderableType) -> RenderableType:
    """Parts under one another, and a blank line."""
    return Group(*parts, Text())


def baseline_variant(manifest: Manifest) -> str:
    """The variant that ratios and drops refer to: the budget's baseline, else the first."""
    named = manifest.recipe.get("budget", {}).get("baseline")
    if named:
        return str(named)
    return manifest.artifacts[0].variant if manifest.artifacts else ""


def plain(text: str | None, *, limit: int = 100) -> Text:
    return Text(printable(text or "", limit=limit))


def trace_table(rows: Sequence[TraceRow]) -> Table:
    """What each stage gave and cost."""
    table = new_table("What each stage gave and cost", "stage", "kind")
    metric = numbers.metric_heading(first_headline(rows))
    number_columns(table, "params", "≠ 0 %", "MACs", "size", "deflated", metric, "seconds")
    for row in rows:
        seconds = Text("cached", style="dim") if row.reused else f"{row.seconds:.1f}"
        nonzero = f"{100 * row.nonzero_fraction:.1f}"
        cells = (
            numbers.amount(row.parameters),
            nonzero,
            numbers.amount(row.macs),
            numbers.size(row.bytes),
            numbers.size(row.deflated_bytes),
        )
        table.add_row(
            plain(row.stage),
            plain(row.kind),
            *cells,
            numbers.metric(headline(row.metrics)),
            seconds,
        )
    return table


def artifact_table(artifacts: Sequence[Artifact], baseline: str) -> Table:
    """Size and headline metric of each artifact, against the baseline variant's artifact of the
    same format."""
    table = new_table(f"Artifacts, against {printable(baseline)} of the same format", "artifact")
    metric = numbers.metric_heading(first_headline(artifact.verification for artifact in artifacts))
    number_columns(
        table, "size", "deflated", "smaller", metric, "drop", "as eager %", "delegated %"
    )
    for artifact in artifacts:
        base = baseline_of(artifact, artifacts, baseline)
        check = artifact.verification
        file = artifact.file
        smaller = (
            DASH
            if base is None or base.key == artifact.key
            else f"{base.file.bytes / file.bytes:.2f}×"
        )
        agreement = (
            numbers.NOT_AVAILABLE
            if check.agreement_percent is None
            else f"{check.agreement_percent:.1f}"
        )
        sizes = (numbers.size(file.bytes), numbers.size(file.deflated_bytes), smaller)
        table.add_row(
            plain(artifact.key),
            *sizes,
            numbers.metric(headline(check.metrics)),
            headline_drop(artifact, base),
            agreement,
            delegated_share(artifact),
        )
    return table


def comparisons(pairs: Iterable[Comparison], where: str = "") -> RenderableType:
    """How far the answers of two artifacts agree; `where` follows their names."""
    return Group(*(plain(_agreement(pair, where), limit=200) for pair in pairs))


def _agreement(pair: Comparison, where: str) -> str:
    noise = "equal outputs" if pair.snr_db is None else f"SNR {pair.snr_db:.1f} dB"
    samples = f"{pair.samples} samples"
    share = numbers.percent(pair.agreement_percent)
    if share is None:
        return f"{pair.a} and {pair.b}{where}: {noise} on {samples}"
    return f"{pair.a} and {pair.b}{where}: {pair.agreement_label} on {share} of {samples}, {noise}"


def measurement_section(measurement: Measurement, baseline: str) -> RenderableType:
    """One target: what it is, latencies, and what to know about them."""
    return spaced(
        latency_table(measurement, baseline), device_line(measurement), *notes(measurement)
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
    kind, its share (PSS) and what is beyond the empty runner; and what the runtime plans for
    activations (LiteRT does not say)."""
    table = new_table(f"Memory on {printable(measurement.target)}", "artifact")
    number_columns(
        table, "empty", "loaded", "steady", "anon", "files", "PSS", "beyond", "peak", "arena"
    )
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
            kinds = [
                numbers.size(count) for count in (*parts, summary.peak_bytes, result.arena_bytes)
            ]
            table.add_row(plain(result.key), *marks, *kinds)
    return table


def notes(measurement: Measurement) -> Iterator[Text]:
    """What a reader must know, the worst first; one line for what several artifacts share."""
    if measurement.failure:
        yield Text.assemble(("ended early: ", "bold red"), printable(measurement.failure))
    grouped: dict[tuple[str, str], list[Note]] = {}
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


def budget_table(checks: Sequence[Check]) -> Table:
    """Each limit of the budget against what was measured."""
    table = new_table("Budget", "verdict", "artifact", "limit")
    number_columns(table, "allowed", "measured")
    table.add_column("note", overflow="fold")
    for check in checks:
        verdict = Text("met", style="green") if check.ok else Text("NOT MET", style="bold red")
        values = (
            numbers.limit(check.limit, check.allowed, check.metric),
            numbers.limit(check.limit, check.measured, check.metric),
        )
        table.add_row(
            verdict, plain(check.artifact), plain(check.limit), *values, plain(check.note)
        )
    return table


def new_table(title: str, *columns: str, caption: str | None = None) -> Table:
    """A table whose first columns are names, which do not wrap."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    table.title = Text(title, style="bold")
    table.caption = Text(caption) if caption else None
    table.title_justify = table.caption_justify = "left"
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def number_columns(table: Table, *columns: str) -> None:
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")


def baseline_of(
    artifact: Artifact, artifacts: Iterable[Artifact], baseline: str
) -> Artifact | None:
    return next(
        (a for a in artifacts if a.variant == baseline and a.backend == artifact.backend), None
    )


class HasMetrics(Protocol):
    """A stage's row, or the verification of an artifact."""

    @property
    def metrics(self) -> tuple[MetricValue, ...]: ...


def first_headline(measured: Iterable[HasMetrics]) -> MetricValue | None:
    """The headline metric that heads a column: the first that there is."""
    headlines = (headline(row.metrics) for row in measured)
    return next(filter(None, headlines), None)


def headline_drop(artifact: Artifact, base: Artifact | None) -> str:
    """How much worse the headline metric is than the baseline's, in its unit."""
    if base is None or base.key == artifact.key:
        return DASH
    metric = headline(artifact.verification.metrics)
    reference = named_metric(base.verification.metrics, metric.name) if metric else None
    if metric is None or reference is None:
        return numbers.NOT_AVAILABLE
    drop = metric.drop(reference.value, metric.value)
    sign = "+" if drop < 0 else ""
    return f"{drop:{sign}.{metric.decimals}f}"


def delegated_share(artifact: Artifact) -> str:
    """Share of the operators that the delegate runs."""
    delegated = sum(artifact.delegation.delegated.values())
    fallback = sum(artifact.delegation.fallback.values())
    return (
        f"{100 * delegated / (delegated + fallback):.0f}"
        if delegated + fallback
        else numbers.NOT_AVAILABLE
    )


def _tail(summary: Summary) -> tuple[str, str]:
    """p90 and p99 without their intervals, which have no room here."""
    return _without_interval(summary.p90), _without_interval(summary.p99)


def _without_interval(value: Estimate | None) -> str:
    return numbers.NOT_AVAILABLE if value is None else numbers.significant(value.value / 1e6)
