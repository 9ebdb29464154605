"""What was measured in turn with a measurement, and what follows: the verdicts of a comparison, and
of the gate where the bundle tells its limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgekit.bundle.directory import Bundle
from edgekit.errors import UsageError
from edgekit.measure.measurement import Measurement
from edgekit.recipe.stored import stored_sections
from edgekit.reporting.page.style import RUNTIME_LABELS, flag, mark
from edgekit.reporting.page.values import Absent, Block, Cell, Notes, Section, Table, Tone, cells
from edgekit.reporting.verdicts import change, margin, verdict_words
from edgekit.sanitize import printable
from edgekit.verdict.rules import Finding
from edgekit.workflow.compare import compare_stored
from edgekit.workflow.gate import GateResult, judged_again

TONES: dict[str, Tone] = {
    "better": "good",
    "passed": "good",
    "worse": "bad",
    "regressed": "bad",
    "inconclusive": "warn",
    "not_judged": "dim",
}
LEAD = (
    "A verdict is given where Mann–Whitney's test (Holm), the 95 % interval of B ÷ A and the margin"
    " agree. Otherwise the result is inconclusive."
)


def verdict_sections(
    bundle: Bundle | None,
    measurements: Sequence[Measurement],
    beside: Mapping[str, Sequence[Measurement]],
) -> Iterator[Section]:
    """A section for each pair of one session; `beside` has, by id of a measurement, the others of
    its session."""
    shown: set[frozenset[str]] = set()
    for measurement in measurements:
        for other in beside.get(measurement.id, ()):
            pair = frozenset((measurement.id, other.id))
            try:
                section = (
                    None if pair in shown else _section(bundle, *_in_order(measurement, other))
                )
            except UsageError:  # nothing in common
                section = None
            if section:
                shown.add(pair)
                yield section
    if measurements and not shown:
        command = (
            f"edgekit compare OTHER_BUNDLE {bundle.path if bundle else 'BUNDLE'} --target"
            f" {measurements[0].target}"
        )
        why = (
            "nothing was measured in turn with it, and builds measured one after the other often"
            " seem to differ when they do not"
        )
        yield Section(
            "verdicts",
            "Against another build",
            (
                Absent(
                    "whether this is better or worse than another build", why, printable(command)
                ),
            ),
        )


def _in_order(measurement: Measurement, other: Measurement) -> tuple[Measurement, Measurement]:
    """What is on the page is B, against A; of one bundle's two runtimes the first by name is A."""
    own = measurement.bundle_id == other.bundle_id
    own_is_first = _runtime(measurement) <= _runtime(other)
    return (measurement, other) if own and own_is_first else (other, measurement)


def _runtime(measurement: Measurement) -> str:
    """The runtime of its first artifact."""
    return measurement.artifacts[0].artifact.runtime if measurement.artifacts else ""


def _section(bundle: Bundle | None, a: Measurement, b: Measurement) -> Section:
    compared = compare_stored(a, b)
    gate = _gate(bundle, a, b)
    metrics = tuple(dict.fromkeys(finding.metric for finding in compared.findings))
    rows = []
    for pair in dict.fromkeys(finding.pair for finding in compared.findings):
        by_metric = {
            finding.metric: finding for finding in compared.findings if finding.pair == pair
        }
        gated = (
            [_gated([finding for finding in gate.findings if finding.pair == pair])] if gate else []
        )
        rows.append(
            cells(
                pair,
                *(
                    _verdict(by_metric[metric], mark(b)) if metric in by_metric else None
                    for metric in metrics
                ),
                *gated,
            )
        )
    labels = {finding.metric: finding.label for finding in compared.findings}
    columns = ("artifact", *(labels[metric] for metric in metrics), *(["gate"] if gate else []))
    lead = (
        f"B, {_name(b)}, against A, {_name(a)}, in turn in one session. Up to"
        f" {compared.margin_percent:g} %{_metric_margins(compared.findings)} is no difference."
        f" {LEAD}"
    )
    blocks: list[Block] = [
        Table(
            columns,
            tuple(rows),
            texts=tuple(range(1, len(columns))),
            caption=_caption(compared.findings, flag(b)),
        )
    ]
    if gate:
        line = ("ok" if gate.passed else "invalid", printable(gate.summary, limit=600))
        blocks.insert(0, Notes((line,), "Does it pass the gate of its recipe?"))
    against = "itself" if a.bundle_id == b.bundle_id else a.bundle_id[:12]
    return Section("verdicts", f"Against {against} on {printable(b.target)}", tuple(blocks), lead)


def _metric_margins(findings: Sequence[Finding]) -> str:
    """What counts as no difference of each metric, in brackets."""
    margins = dict.fromkeys(
        f"{finding.label}: {margin(finding)}"
        for finding in findings
        if finding.scale == "difference" and finding.margin is not None
    )
    return f" ({', '.join(margins)})" if margins else ""


def _name(measurement: Measurement) -> str:
    runtimes = dict.fromkeys(result.artifact.runtime for result in measurement.artifacts)
    runtime = f" in {RUNTIME_LABELS[next(iter(runtimes))]}" if len(runtimes) == 1 else ""
    return f"{printable(measurement.bundle_name)} {measurement.bundle_id[:12]}{runtime}"


def _gate(bundle: Bundle | None, a: Measurement, b: Measurement) -> GateResult | None:
    """Where B is the page's bundle, A another build of it, and both are full measurements."""
    if (
        bundle is None
        or b.bundle_id != bundle.manifest.id
        or a.bundle_id == b.bundle_id
        or a.quick
        or b.quick
    ):
        return None
    return judged_again(b, a, stored_sections(bundle.manifest.recipe).gate)


def _caption(findings: Sequence[Finding], remark: str) -> str:
    reasons = dict.fromkeys(f.reason for f in findings if f.mid is None and f.reason)
    return printable("; ".join(filter(None, (*reasons, remark))), limit=600)


def _verdict(finding: Finding, useless: str) -> Cell:
    """In a word or two, with how far B is from A."""
    short = {"same": "no difference", "not_judged": "not judged"}
    needed = (
        f": {finding.more_runs} more runs"
        if finding.verdict == "inconclusive" and finding.more_runs
        else ""
    )
    words = short.get(finding.verdict) or (
        finding.verdict + needed if finding.verdict == "inconclusive" else verdict_words(finding)
    )
    timed = useless if finding.metric.startswith("latency") and finding.mid is not None else ""
    return Cell(
        words.replace(" ", "\N{NO-BREAK SPACE}"),
        "" if finding.mid is None else change(finding) + timed,
        TONES.get(finding.verdict, ""),
    )


def _gated(findings: Sequence[Finding]) -> Cell:
    """The worst of an artifact."""
    for verdict in ("regressed", "inconclusive"):
        if bad := [finding for finding in findings if finding.verdict == verdict]:
            allowed = ", ".join(f"{finding.label}, allowed {margin(finding)}" for finding in bad)
            return Cell(
                verdict_words(bad[0]) if verdict == "regressed" else verdict,
                allowed,
                TONES[verdict],
            )
    return Cell("passed", tone="good") if findings else Cell("not judged", tone="dim")
