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
    margins = {
        (each.pair, each.metric): each.quantity.margin_ratio(margin_ratio, each.a)
        for each in observed
    }
    differences = stats.differ(_runs(observed), margin_ratio=margins)
    verdicts: dict[str, Verdict] = {
        "higher": "worse",
        "lower": "better",
        "same": "same",
        "inconclusive": "inconclusive",
    }

    def finding(observation: Observed) -> Finding:
        if difference := differences.get((observation.pair, observation.metric)):
            margin = margins[observation.pair, observation.metric]
            return _of_ratio(observation, verdicts[difference.side], margin, difference)
        ratio = observation.quantity.scale == "ratio"
        return _exact(
            observation, margin_ratio if ratio else observation.quantity.margin, two_sided=True
        )

    return tuple(finding(observation) for observation in observed)


def gated(observed: Sequence[Observed], limits: Mapping[str, float | None]) -> tuple[Finding, ...]:
    """Whether the second is worse than the first by more than a limit: a ratio, or a difference in
    the metric's unit. What has no limit is left out."""
    limited = []
    for observation in observed:
        limit = limits.get(observation.metric)
        if limit is not None and observation.runs:
            limit = observation.quantity.margin_ratio(limit, observation.a)
        if limit is not None:
            limited.append((observation, limit))
    thresholds = {(observation.pair, observation.metric): limit for observation, limit in limited}
    decisions = stats.decide(
        _runs([observation for observation, _ in limited]), threshold_ratio=thresholds
    )
    verdicts: dict[str, Verdict] = {
        "regressed": "regressed",
        "no_regression": "passed",
        "inconclusive": "inconclusive",
    }

    def finding(observation: Observed, limit: float) -> Finding:
        if decision := decisions.get((observation.pair, observation.metric)):
            return _of_ratio(observation, verdicts[decision.verdict], limit, decision)
        return _exact(observation, limit, two_sided=False)

    return tuple(finding(observation, limit) for observation, limit in limited)


def _runs(
    observed: Sequence[Observed],
) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """What statistics decide, by pair and metric."""
    return {
        (observation.pair, observation.metric): observation.runs
        for observation in observed
        if observation.runs and not observation.why_not
    }


def _exact(observation: Observed, margin: float, *, two_sided: bool) -> Finding:
    """Of what does not change from run to run."""
    if observation.shift and not observation.why_not:
        return _shifted(observation, observation.shift, margin, two_sided=two_sided)
    if (
        observation.runs is None
        and observation.quantity.scale == "ratio"
        and observation.a
        and observation.b is not None
    ):
        return _sized(observation, observation.b / observation.a, margin, two_sided=two_sided)
    return _finding(
        observation,
        "inconclusive" if observation.judged else "not_judged",
        reason=observation.why_not,
    )


def _finding(observation: Observed, verdict: Verdict, **values: Any) -> Finding:
    quantity = observation.quantity
    return Finding(
        observation.pair,
        quantity.name,
        verdict,
        observation.a,
        observation.b,
        label=quantity.label,
        unit=quantity.unit,
        higher_is_better=quantity.higher_is_better,
        scale=quantity.scale,
        decimals=quantity.decimals,
        **values,
    )


def _of_ratio(
    observation: Observed, verdict: Verdict, margin: float, decided: Decision | Difference
) -> Finding:
    ratio = decided.ratio
    return _finding(
        observation,
        verdict,
        low=ratio.low if ratio.bounded else None,
        mid=ratio.mid,
        high=ratio.high if ratio.bounded else None,
        margin=margin,
        p=decided.p,
        more_runs=decided.more_runs,
        reason=", ".join(filter(None, (decided.reason, observation.note))),
    )


def _sized(observation: Observed, ratio: float, margin: float, *, two_sided: bool) -> Finding:
    verdict: Verdict = "same" if two_sided else "passed"
    if ratio > margin:
        verdict = "worse" if two_sided else "regressed"
    elif two_sided and ratio < 1 / margin:
        verdict = "better"
    return _finding(
        observation,
        verdict,
        low=ratio,
        mid=ratio,
        high=ratio,
        margin=margin,
        reason=f"ratio {ratio:.3f}, exact",
    )


def _shifted(observation: Observed, shift: Shift, margin: float, *, two_sided: bool) -> Finding:
    verdict: Verdict = "inconclusive"
    if shift.low > 0 and shift.mid > margin:
        verdict = "worse" if two_sided else "regressed"
    elif two_sided and shift.high < 0 and shift.mid < -margin:
        verdict = "better"
    elif _within(shift, margin, two_sided=two_sided):
        verdict = "same" if two_sided else "passed"
    finding = _finding(
        observation, verdict, low=shift.low, mid=shift.mid, high=shift.high, margin=margin
    )
    return replace(finding, reason=_reason(finding, shift, observation.note))


def _within(shift: Shift, margin: float, *, two_sided: bool) -> bool:
    """Whether the whole interval lies within the margin. One that is known exactly may lie on it:
    a file is no worse than itself, even where no loss is allowed."""
    if shift.low == shift.high:
        return shift.high <= margin and (not two_sided or shift.low >= -margin)
    return shift.high < margin and (not two_sided or shift.low > -margin)


def _reason(finding: Finding, shift: Shift, note: str) -> str:
    went = "fell" if finding.higher_is_better else "rose"
    digits = finding.decimals
    unit = f" {finding.difference_unit}" if finding.unit else ""
    reason = (
        f"{went} by {shift.mid:.{digits}f}{unit}, 95 % interval {shift.low:.{digits}f} to"
        f" {shift.high:.{digits}f}, {note}"
    )
    return f"{reason}; more samples would decide" if finding.verdict == "inconclusive" else reason
