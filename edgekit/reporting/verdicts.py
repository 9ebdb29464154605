"""Comparisons and gates for a terminal: one row a metric of a pair of artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from edgekit.reporting import numbers
from edgekit.reporting.build_tables import comparisons
from edgekit.reporting.measurement_tables import device_line, notes
from edgekit.reporting.tables import new_table, number_columns, plain, spaced
from edgekit.verdict.rules import Finding
from edgekit.workflow.compare import CompareResult
from edgekit.workflow.gate import GateResult
from edgekit.workflow.selftest import SelfTestResult

if TYPE_CHECKING:
    from edgekit.store.baselines import Baseline

BETTER = {"ms": "faster", "bytes": "smaller"}
WORSE = {"ms": "slower", "bytes": "larger"}
STYLES = {
    "better": "green",
    "passed": "green",
    "same": "",
    "worse": "bold red",
    "regressed": "bold red",
    "inconclusive": "yellow",
    "not_judged": "dim",
}


def comparison(compared: CompareResult) -> Iterator[RenderableType]:
    """The table of a comparison, and what to know about its two measurements."""
    yield spaced(
        _table(compared.findings, f"B = {_name(compared, 'b')} against A = {_name(compared, 'a')}")
    )
    if compared.caveat:
        yield Text.assemble(("warning: ", "bold yellow"), compared.caveat)
    if compared.agreement:
        yield comparisons(compared.agreement, " on the build host" if compared.b.runtimes else "")
    if compared.a.bundle_id == compared.b.bundle_id and compared.b.runtimes:
        yield comparisons(compared.b.runtimes, " on the device")
    yield spaced(device_line(compared.b), *notes(compared.b))


def gate(gated: GateResult) -> Iterator[RenderableType]:
    """The table of a gate, its verdict, and what to know about the candidate's measurement."""
    names = [
        f"{plain(m.bundle_name).plain} {m.bundle_id[:12]}"
        for m in (gated.candidate, gated.baseline)
    ]
    yield spaced(
        _table(gated.findings, f"B = {names[0]} against its baseline A = {names[1]}", allowed=True)
    )
    for key in gated.new:
        yield plain(f"{key} is new: nothing to judge it by")
    yield Text.assemble(
        ("passed: ", "bold green") if gated.passed else ("failed: ", "bold red"),
        plain(gated.summary, limit=1000),
    )
    yield spaced(device_line(gated.candidate), *notes(gated.candidate))


def selftest(tested: SelfTestResult) -> Iterator[RenderableType]:
    """The rates in two lines, and what to know about the measurement."""
    rates = tested.rates
    interval = f"{100 * rates.false_positive_low:.1f}–{100 * rates.false_positive_high:.1f}"
    lines = [
        f"{tested.artifact} against itself, {rates.rounds} rounds, {rates.resamples} resamples",
        (
            f"identical builds told apart: {100 * rates.false_positive_rate:.1f} % ({interval});"
            f" called a regression: {100 * rates.false_regression_rate:.1f} %"
        ),
        (
            f"a true {rates.slowdown_ratio:g}× slow-down found with {rates.power_runs} runs:"
            f" {100 * rates.power:.1f} %"
        ),
    ]
    yield spaced(*(plain(line, limit=200) for line in lines))
    yield spaced(device_line(tested.b), *notes(tested.b))


def baselines_table(baselines: Sequence[Baseline]) -> RenderableType:
    """Names and what they stand for."""
    table = new_table("Baselines", "name")
    for column in ("bundle", "id", "set"):
        table.add_column(column, no_wrap=True)
    table.add_column("from", overflow="fold")
    for baseline in baselines:
        table.add_row(
            plain(baseline.name),
            plain(baseline.bundle_name),
            baseline.bundle_id[:12],
            baseline.created[:19],
            plain(baseline.directory),
        )
    return table


def verdict_words(finding: Finding) -> str:
    """A verdict in plain words."""
    if finding.verdict == "same":
        return f"no difference within {margin(finding)}"
    if finding.verdict == "inconclusive" and finding.more_runs:
        return (
            f"inconclusive: about {finding.more_runs} more run{'s' * (finding.more_runs > 1)} of"
            " each would decide"
        )
    words = {
        "better": BETTER.get(finding.unit, "better"),
        "worse": WORSE.get(finding.unit, "worse"),
        "regressed": "REGRESSED",
        "not_judged": "not judged",
    }
    return words.get(finding.verdict, finding.verdict)


def margin(finding: Finding) -> str:
    if finding.margin is None:
        return numbers.NOT_AVAILABLE
    if finding.scale == "difference":
        return numbers.with_unit(f"{finding.margin:g}", finding.difference_unit)
    return f"{100 * (finding.margin - 1):.3g} %"


def value(finding: Finding, number: float | None) -> str:
    """A value with its unit."""
    if number is None:
        return numbers.NOT_AVAILABLE
    if finding.scale == "difference":
        return numbers.with_unit(f"{number:.{finding.decimals}f}", finding.unit)
    if finding.unit == "bytes":
        return numbers.size(round(number))
    return f"{numbers.significant(number)} {finding.unit}"


def change(finding: Finding) -> str:
    """How far the second is from the first, with its 95 % interval."""
    if finding.mid is None:
        return numbers.NOT_AVAILABLE
    if finding.scale == "difference":
        return _difference(finding, finding.mid)
    digits = 3 + _more_digits(finding, lambda bound, more: f"{100 * (bound - 1):.{1 + more}f}")
    shown = f"{finding.mid:.{digits}f}×"
    if finding.low is None or finding.high is None or finding.low == finding.high:
        return shown
    return f"{shown} ({finding.low:.{digits}f}–{finding.high:.{digits}f})"


def _more_digits(finding: Finding, shown: Callable[[float, int], str]) -> int:
    """How many digits more than usual it takes until no bound that is not the margin looks like
    it."""
    bounds = [bound for bound in (finding.low, finding.mid, finding.high) if bound is not None]
    if finding.margin is None:
        return 0
    return max((numbers.more_digits(finding.margin, bound, shown) for bound in bounds), default=0)


def _difference(finding: Finding, worse_by: float) -> str:
    """Second less first: a finding holds how much worse the second is."""
    low = finding.low
    high = finding.high
    digits = finding.decimals
    digits += _more_digits(finding, lambda bound, more: f"{bound:.{finding.decimals + more}f}")
    if finding.higher_is_better:
        worse_by = 0 - worse_by
        low = None if finding.high is None else 0 - finding.high
        high = None if finding.low is None else 0 - finding.low
    shown = numbers.with_unit(f"{worse_by:+.{digits}f}", finding.difference_unit)
    if low is None or high is None or low == high:
        return shown
    return f"{shown} ({low:+.{digits}f} to {high:+.{digits}f})"


def _table(findings: tuple[Finding, ...], title: str, *, allowed: bool = False) -> RenderableType:
    table = new_table(title, "artifact", "metric")
    number_columns(table, "A", "B", "B / A (95 %)", *(("allowed",) if allowed else ()))
    table.add_column("verdict")
    for finding in findings:
        words = verdict_words(finding)
        if (
            finding.verdict in ("inconclusive", "not_judged")
            and not finding.more_runs
            and finding.reason
        ):
            words += f": {finding.reason}"
        cells = (
            value(finding, finding.a),
            value(finding, finding.b),
            change(finding),
            *((margin(finding),) if allowed else ()),
        )
        table.add_row(
            plain(finding.pair),
            plain(finding.label),
            *cells,
            Text(words, style=STYLES[finding.verdict]),
        )
    return table


def _name(compared: CompareResult, side: str) -> str:
    measurement = compared.a if side == "a" else compared.b
    return f"{plain(measurement.bundle_name).plain} {measurement.bundle_id[:12]}"
