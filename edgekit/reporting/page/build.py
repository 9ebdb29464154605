"""Sections on the bundle: the pipeline's trace, the artifacts, their operators, the budget, and how
to make all of it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.bundle.manifest import Artifact, ArtifactAgreement, Manifest, TraceRow
from edgekit.measure.measurement import Measurement
from edgekit.metrics import MetricKind, MetricValue, headline
from edgekit.reporting import numbers
from edgekit.reporting.against_baseline import baseline_of, first_headline, headline_drop
from edgekit.reporting.build_tables import delegated_share
from edgekit.reporting.page.values import (
    Absent,
    Block,
    Cell,
    Code,
    Facts,
    Section,
    Strip,
    Table,
    cells,
    with_interval,
)
from edgekit.reporting.tables import DASH
from edgekit.sanitize import printable
from edgekit.verdict.budget import JudgedLimit


def trace_section(rows: Sequence[TraceRow] | None) -> Section:
    """What each stage gave and cost; `rows` None without a bundle."""
    lead = (
        "What each stage gave and cost. Sizes and metrics of a quantized stage are those of the"
        " exported artifact; of any other stage, those of the weights."
    )
    if not rows:
        why = (
            "this page was made from stored measurements only"
            if rows is None
            else "the bundle holds no trace: it was not built by a recipe"
        )
        return Section(
            "pipeline", "Pipeline", (Absent("the pipeline's trace", why, "edgekit report BUNDLE"),)
        )
    columns = (
        "stage",
        "kind",
        "parameters",
        "≠ 0",
        "MACs",
        "size",
        "deflated",
        metric_heading(first_headline(rows)),
        "time",
    )
    largest = max((row.bytes or 0 for row in rows), default=0) or 1
    table = Table(columns, tuple(_trace_row(row, largest) for row in rows), names=2)
    notes = Facts(
        tuple((row.stage, printable(note, limit=300)) for row in rows for note in row.notes)
    )
    return Section("pipeline", "Pipeline", (table, notes) if notes.pairs else (table,), lead)


def _trace_row(row: TraceRow, largest: int) -> tuple[Cell, ...]:
    share = None if row.bytes is None else row.bytes / largest
    return cells(
        row.stage,
        row.kind + (f" of {row.parent}" if row.parent else ""),
        numbers.amount(row.parameters),
        f"{100 * row.nonzero_fraction:.1f} %",
        numbers.amount(row.macs),
        Cell(numbers.size(row.bytes), share=share),
        numbers.size(row.deflated_bytes),
        metric_cell(headline(row.metrics)),
        Cell(f"{row.seconds:.1f} s", "from the cache" if row.reused else ""),
    )


def metric_cell(value: MetricValue | None) -> Cell:
    """A metric with its unit and interval."""
    if value is None:
        return Cell(numbers.NOT_AVAILABLE)
    shown = with_interval(numbers.metric(value))
    return Cell(numbers.with_unit(shown.text, value.unit), shown.detail)


def metric_heading(kind: MetricKind | None) -> str:
    """The heading of a column whose cells hold the unit."""
    return f"{kind.label} (95 %)" if kind else "metric"


def artifacts_section(
    artifacts: Sequence[Artifact], baseline: str, manifest: Manifest | None
) -> Section:
    """Sizes, metrics and agreement of the files themselves, as the build host found them."""
    lead = (
        f"The exported files on the build host, each against {printable(baseline)} of the same"
        " format and against eager PyTorch on real test samples."
    )
    columns = (
        "artifact",
        "size",
        "deflated",
        "smaller",
        metric_heading(first_headline(artifact.verification for artifact in artifacts)),
        "drop",
        "as eager",
        "SNR",
        "max abs error",
    )
    blocks: list[Block] = [
        Table(
            columns, tuple(_artifact_row(artifact, artifacts, baseline) for artifact in artifacts)
        )
    ]
    if manifest and manifest.comparisons:
        blocks.append(_comparisons(manifest))
    return Section("artifacts", "Artifacts", tuple(blocks), lead)


def _artifact_row(
    artifact: Artifact, artifacts: Sequence[Artifact], baseline: str
) -> tuple[Cell, ...]:
    base = baseline_of(artifact, artifacts, baseline)
    verified = artifact.verification
    file = artifact.file
    smaller = (
        DASH
        if base is None or base.key == artifact.key or not file.bytes
        else f"{base.file.bytes / file.bytes:.2f}×"
    )
    metric = headline(verified.metrics)
    drop = headline_drop(artifact, base)
    unit = "" if metric is None or drop in (DASH, numbers.NOT_AVAILABLE) else metric.difference_unit
    return cells(
        artifact.key,
        Cell(
            numbers.size(file.bytes),
            share=file.bytes / max(other.file.bytes for other in artifacts) if file.bytes else None,
        ),
        numbers.size(file.deflated_bytes),
        smaller,
        metric_cell(metric),
        numbers.with_unit(drop, unit),
        numbers.percent(verified.agreement_percent, 1),
        decibels(verified.snr_db) if verified.samples else None,
        None if verified.max_abs_error is None else f"{verified.max_abs_error:.3g}",
    )


def decibels(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f} dB"


def answer_columns(pairs: Sequence[ArtifactAgreement]) -> tuple[str, ...]:
    """The heading of the agreement of answers; none where the task does not say how far they
    agree, such as a regression without a tolerance."""
    labels = [pair.agreement_label for pair in pairs if pair.agreement_percent is not None]
    return tuple(labels[:1])


def _comparisons(manifest: Manifest) -> Table:
    answers = answer_columns(manifest.comparisons)
    rows = tuple(
        cells(
            pair.a,
            pair.b,
            str(pair.samples),
            *(numbers.percent(pair.agreement_percent) for _ in answers),
            decibels(pair.snr_db),
        )
        for pair in manifest.comparisons
    )
    return Table(
        ("one", "other", "samples", *answers, "SNR"),
        rows,
        names=2,
        title="Do they give the same answers?",
    )


def budget_section(verdicts: Sequence[JudgedLimit] | None) -> Section:
    """Each limit against what was measured; `verdicts` None without a bundle."""
    if verdicts is None:
        return Section(
            "budget",
            "Budget",
            (
                Absent(
                    "the verdict",
                    "the limits are in the bundle, and no bundle was given",
                    "edgekit report BUNDLE",
                ),
            ),
        )
    if not verdicts:
        return Section(
            "budget",
            "Budget",
            (
                Absent(
                    "the verdict",
                    "the recipe sets no limits: see `budget:` in its schema",
                    "edgekit recipe schema",
                ),
            ),
        )
    lead = (
        "A limit that could not be measured is not met. Neither is a speed-up whose interval"
        " straddles its limit."
    )
    rows = tuple(
        cells(
            Cell("met", tone="good") if verdict.ok else Cell("not met", tone="bad"),
            verdict.artifact,
            verdict.limit.replace("_", " "),
            *numbers.limits(verdict.limit, verdict.allowed, verdict.measured, verdict.metric),
            verdict.note,
        )
        for verdict in verdicts
    )
    return Section(
        "budget",
        "Budget",
        (
            Table(
                ("verdict", "artifact", "limit", "allowed", "measured", "note"),
                rows,
                names=3,
                texts=(5,),
            ),
        ),
        lead,
    )


def delegation_section(artifacts: Sequence[Artifact]) -> Section:
    """Where the operators of each artifact run."""
    blocks: list[Block] = []
    for artifact in artifacts:
        delegation = artifact.delegation
        delegated = sum(delegation.delegated.values())
        fallback = sum(delegation.fallback.values())
        detail = (
            f"{delegated} of {delegated + fallback} operators ({delegated_share(artifact)} %) in"
            f" {delegation.delegate}"
        )
        blocks.append(Strip(artifact.key, printable(detail), tuple(_map_cells(artifact))))
    reasons = tuple(
        cells(artifact.key, name, str(count), artifact.delegation.reasons.get(name, ""))
        for artifact in artifacts
        for name, count in sorted(artifact.delegation.fallback.items(), key=lambda item: -item[1])
    )
    if reasons:
        blocks.append(
            Table(
                ("artifact", "operator", "count", "why it stays outside"),
                reasons,
                names=2,
                texts=(3,),
                title="Outside the delegate",
            )
        )
    lead = (
        "One cell for each operator, in the order in which they run if the exporter reports it."
        " Filled: the delegate runs it. Hollow: the runtime's own kernels run it."
    )
    return Section("delegation", "Delegation map", tuple(blocks), lead)


def _map_cells(artifact: Artifact) -> list[tuple[bool, str]]:
    """Cells in the order of execution, else grouped by operator; at most 600."""
    delegation = artifact.delegation
    if delegation.sequence:
        ordered = [
            (operation.delegate is not None, f"{operation.operator}  {operation.layer}".strip())
            for operation in delegation.sequence
        ]
    else:
        ordered = [
            (True, name)
            for name, count in delegation.delegated.items()
            for _ in range(min(count, 600))
        ]
        ordered += [
            (False, name)
            for name, count in delegation.fallback.items()
            for _ in range(min(count, 600))
        ]
    return [(inside, printable(name, limit=120)) for inside, name in ordered[:600]]


def reproduce_section(
    manifest: Manifest | None, bundle: Path | None, measurements: Sequence[Measurement]
) -> Section:
    """The commands that give these numbers again, and what they were made with."""
    blocks: list[Block] = []
    targets = list(dict.fromkeys(measurement.target for measurement in measurements))
    if manifest and manifest.recipe:
        target_options = (
            " ".join(f"--target {shlex.quote(target)}" for target in targets) or "--target local"
        )
        blocks.append(
            Code(
                f"edgekit run recipe.yaml {target_options}",
                "From the recipe: save the one below as recipe.yaml",
            )
        )
    commands = [bench_command(measurement, bundle) for measurement in measurements]
    if commands:
        blocks.append(Code("\n".join(dict.fromkeys(commands)), "From the bundle"))
    blocks.append(Facts(tuple(_provenance(manifest, measurements))))
    if manifest and manifest.recipe:
        blocks.append(
            Code(
                json.dumps(manifest.recipe, indent=1, ensure_ascii=True),
                "The resolved recipe (JSON is YAML)",
                folded=True,
            )
        )
    return Section("reproduce", "Make it again", tuple(blocks))


def bench_command(measurement: Measurement, bundle: Path | None) -> str:
    """One line for a shell; names from files and devices are quoted."""
    settings = measurement.settings
    directory = (
        str(bundle) if bundle else f"build/{measurement.bundle_name}-{measurement.bundle_id[:12]}"
    )
    options = [*(["--profile"] if any(result.profile for result in measurement.artifacts) else [])]
    if long_run := next(
        (result.sustained for result in measurement.artifacts if result.sustained), None
    ):
        options += ["--sustained", f"{max(1, round(long_run.seconds))}s"]
    if checked := next(
        (result.evaluation for result in measurement.artifacts if result.evaluation), None
    ):
        options += ["--accuracy", str(checked.samples)]
    options += ["--energy"] if any(result.energy for result in measurement.artifacts) else []
    options += ["--pipeline"] if any(result.pipeline for result in measurement.artifacts) else []
    deadline_ms = measurement.settings.deadline_ms
    options += [] if deadline_ms is None else ["--deadline-ms", f"{deadline_ms:g}"]
    arguments = [
        directory,
        "--target",
        measurement.target,
        "--runs",
        str(settings.runs),
        "--threads",
        str(settings.threads),
        *options,
    ]
    return "edgekit bench " + " ".join(shlex.quote(printable(argument)) for argument in arguments)


def _provenance(
    manifest: Manifest | None, measurements: Sequence[Measurement]
) -> list[tuple[str, str]]:
    pairs = []
    if manifest:
        pairs += [
            ("bundle", manifest.id),
            ("recipe sha256", manifest.recipe_sha256),
            ("seed", str(manifest.seed)),
            ("built", manifest.created),
        ]
        pairs += [("git revision", manifest.git_revision or "not in a repository")]
        pairs += [(name, version) for name, version in manifest.versions.items()]
    else:
        pairs += [
            ("bundle", identity)
            for identity in dict.fromkeys(measurement.bundle_id for measurement in measurements)
        ]
    pairs += [
        (f"measurement on {m.target}", f"{m.id}, {m.created}, edgekit {m.edgekit_version}")
        for m in measurements
    ]
    return [(printable(name), printable(value)) for name, value in pairs]


def met_by_key(verdicts: Sequence[JudgedLimit]) -> Mapping[str, bool]:
    """Whether all limits of an artifact are met; artifacts without limits are left out."""
    return {
        key: all(verdict.ok for verdict in verdicts if verdict.artifact.split(" on ")[0] == key)
        for key in {verdict.artifact.split(" on ")[0] for verdict in verdicts}
    }
