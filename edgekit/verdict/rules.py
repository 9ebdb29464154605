"""Verdicts on what was observed of two measurements. `compared` asks how the second differs from
the first, `gated` whether it got worse.

Both follow the rule of edgekit.stats.compare; a size is exact, and a metric of the task has its
interval over samples in place of that over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from edgekit import stats
from edgekit.stats import Decision, Difference, Shift
from edgekit.verdict.quantities import Observed, Scale

Verdict = Literal["better", "worse", "same", "regressed", "passed", "inconclusive", "not_judged"]


@dataclass(frozen=True)
class Finding:
    """The verdict on one quantity of one pair. `low`, `mid` and `high` are second over first for a
    `ratio`; for a `difference` how much worse the second is, in `unit` (percentage points for %).

    `metric` is the quantity's name, `label` what tables call it. `margin` is what still counts as
    no difference, as a ratio or in the unit. `more_runs` of each side would probably decide an
    inconclusive case, None when that is not known; `p` is corrected over all tests of a call."""

    pair: str
    metric: str
    verdict: Verdict
    a: float | None
    b: float | None
    low: float | None = None
    mid: float | None = None
    high: float | None = None
    margin: float | None = None
    p: float | None = None
    more_runs: int | None = None
    reason: str = ""
    label: str = ""
    unit: str = ""
    higher_is_better: bool = False
    scale: Scale = "ratio"
    decimals: int = 2

    @property
    def difference_unit(self) -> str:
        """The unit of a difference: percentages differ by points."""
        return "points" if self.unit == "%" else self.unit


def compared(observed: Sequence[Observed], *, margin_ratio: float) -> tuple[Finding, ...]:
    """How the second differs from the first, in both directions. Of metrics up to their own margin
    counts as no difference."""
    differences = stats.differ(_runs(observed), margin_ratio=margin_ratio)
    verdicts: dict[str, Verdict] = {
        "higher": "worse",
        "lower": "better",
        "same": "same",
        "inconclusive": "inconclusive",
    }

    def finding(one: Observed) -> Finding:
        if found := differences.get((one.pair, one.metric)):
            return _of_ratio(one, verdicts[found.side], margin_ratio, found)
        ratio = one.quantity.scale == "ratio"
        return _exact(one, margin_ratio if ratio else one.quantity.margin, two_sided=True)

    return tuple(finding(one) for one in observed)


def gated(observed: Sequence[Observed], limits: Mapping[str, float | None]) -> tuple[Finding, ...]:
    """Whether the second is worse than the first by more than a limit: a ratio, or a difference in
    the metric's unit. What has no limit is left out."""
    wanted = [(one, limit) for one in observed if (limit := limits.get(one.metric)) is not None]
    thresholds = {(one.pair, one.metric): limit for one, limit in wanted}
    decisions = stats.decide(_runs([one for one, _ in wanted]), threshold_ratio=thresholds)
    verdicts: dict[str, Verdict] = {
        "regressed": "regressed",
        "no_regression": "passed",
        "inconclusive": "inconclusive",
    }

    def finding(one: Observed, limit: float) -> Finding:
        if found := decisions.get((one.pair, one.metric)):
            return _of_ratio(one, verdicts[found.verdict], limit, found)
        return _exact(one, limit, two_sided=False)

    return tuple(finding(one, limit) for one, limit in wanted)


def _runs(
    observed: Sequence[Observed],
) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """What statistics decide, by pair and metric."""
    return {(one.pair, one.metric): one.runs for one in observed if one.runs and not one.why_not}


def _exact(one: Observed, margin: float, *, two_sided: bool) -> Finding:
    """Of what does not change from run to run."""
    if one.shift and not one.why_not:
        return _shifted(one, one.shift, margin, two_sided=two_sided)
    if one.runs is None and one.quantity.scale == "ratio" and one.a and one.b is not None:
        return _sized(one, one.b / one.a, margin, two_sided=two_sided)
    return _finding(one, "inconclusive" if one.judged else "not_judged", reason=one.why_not)


def _finding(one: Observed, verdict: Verdict, **values: Any) -> Finding:
    quantity = one.quantity
    return Finding(
        one.pair,
        quantity.name,
        verdict,
        one.a,
        one.b,
        label=quantity.label,
        unit=quantity.unit,
        higher_is_better=quantity.higher_is_better,
        scale=quantity.scale,
        decimals=quantity.decimals,
        **values,
    )


def _of_ratio(
    one: Observed, verdict: Verdict, margin: float, found: Decision | Difference
) -> Finding:
    ratio = found.ratio
    return _finding(
        one,
        verdict,
        low=ratio.low if ratio.bounded else None,
        mid=ratio.mid,
        high=ratio.high if ratio.bounded else None,
        margin=margin,
        p=found.p,
        more_runs=found.more_runs,
        reason=found.reason,
    )


def _sized(one: Observed, ratio: float, margin: float, *, two_sided: bool) -> Finding:
    if two_sided:
        verdict: Verdict = "worse" if ratio > margin else "better" if ratio < 1 / margin else "same"
    else:
        verdict = "regressed" if ratio > margin else "passed"
    return _finding(
        one,
        verdict,
        low=ratio,
        mid=ratio,
        high=ratio,
        margin=margin,
        reason=f"ratio {ratio:.3f}, exact",
    )


def _shifted(one: Observed, shift: Shift, margin: float, *, two_sided: bool) -> Finding:
    verdict: Verdict = "inconclusive"
    if shift.low > 0 and shift.mid > margin:
        verdict = "worse" if two_sided else "regressed"
    elif two_sided and shift.high < 0 and shift.mid < -margin:
        verdict = "better"
    elif _within(shift, margin, two_sided=two_sided):
        verdict = "same" if two_sided else "passed"
    finding = _finding(one, verdict, low=shift.low, mid=shift.mid, high=shift.high, margin=margin)
    return replace(finding, reason=_reason(finding, shift, one.note))


def _within(shift: Shift, margin: float, *, two_sided: bool) -> bool:
    """Whether the whole interval lies within the margin. One that is known exactly may lie on it:
    a file is no worse than itself, even where no loss is allowed."""
    if shift.low == shift.high:
        return shift.high <= margin and (not two_sided or shift.low >= -margin)
    return shift.high < margin and (not two_sided or shift.low > -margin)


def _reason(finding: Finding, shift: Shift, note: str) -> str:
    went, digits = "fell" if finding.higher_is_better else "rose", finding.decimals
    unit = f" {finding.difference_unit}" if finding.unit else ""
    reason = (
        f"{went} by {shift.mid:.{digits}f}{unit}, 95 % interval {shift.low:.{digits}f} to"
        f" {shift.high:.{digits}f}, {note}"
    )
    return f"{reason}; more samples would decide" if finding.verdict == "inconclusive" else reason
