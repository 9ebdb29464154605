"""What a build gave, as tables for a terminal: its stages, its artifacts, how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgekit.metrics import headline
from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_of, first_headline, headline_drop
from edgekit.reporting.tables import DASH, new_table, number_columns, plain, without_empty
from edgekit.sanitize import printable

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Artifact, ArtifactAgreement, TraceRow


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


def export_times(seconds: Mapping[str, Mapping[str, float]]) -> RenderableType:
    """How long each export took, and which step most of it."""
    return Group(*(plain(_export_time(key, steps), limit=200) for key, steps in seconds.items()))


def _export_time(key: str, steps: Mapping[str, float]) -> str:
    longest = max(steps, key=lambda step: steps[step])
    return f"exported {key} in {sum(steps.values()):.1f} s, {longest} {steps[longest]:.1f} s"


def artifact_table(artifacts: Sequence[Artifact], baseline: str) -> Table:
    """Size and headline metric of each artifact, against the baseline variant's artifact of the
    same format. What nothing is known of, as of a model that edgekit did not build, is left
    out."""
    pairs = [baseline_of(artifact, artifacts, baseline) for artifact in artifacts]
    alone = all(
        base is None or base.key == artifact.key
        for artifact, base in zip(artifacts, pairs, strict=True)
    )
    against = "" if alone else f", against {printable(baseline)} of the same format"
    table = new_table(f"Artifacts{against}", "artifact")
    metric = numbers.metric_heading(first_headline(artifact.verification for artifact in artifacts))
    number_columns(
        table, "size", "deflated", "smaller", metric, "drop", "as eager %", "delegated %"
    )
    for artifact, base in zip(artifacts, pairs, strict=True):
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
    return without_empty(table, DASH, numbers.NOT_AVAILABLE)


def comparisons(pairs: Iterable[ArtifactAgreement], where: str = "") -> RenderableType:
    """How far the answers of two artifacts agree; `where` follows their names."""
    return Group(*(plain(_agreement(pair, where), limit=200) for pair in pairs))


def _agreement(pair: ArtifactAgreement, where: str) -> str:
    noise = "equal outputs" if pair.snr_db is None else f"SNR {pair.snr_db:.1f} dB"
    samples = f"{pair.samples} samples"
    share = numbers.percent(pair.agreement_percent)
    if share is None:
        return f"{pair.a} and {pair.b}{where}: {noise} on {samples}"
    return f"{pair.a} and {pair.b}{where}: {pair.agreement_label} on {share} of {samples}, {noise}"


def delegated_share(artifact: Artifact) -> str:
    """Share of the operators that the delegate runs."""
    delegated = sum(artifact.delegation.delegated.values())
    fallback = sum(artifact.delegation.fallback.values())
    return (
        f"{100 * delegated / (delegated + fallback):.0f}"
        if delegated + fallback
        else numbers.NOT_AVAILABLE
    )
