"""Verdicts on what was observed of two measurements. `compared` asks how the second differs from
the first, `gated` whether it got worse.

Both follow the rule of edgekit.stats.compare; a size is exact, and an accuracy has its interval
over samples in place of that over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit import stats
from edgekit.stats import Decision, Difference, Shift
from edgekit.verdict.paired import Metric, Observed

Verdict = Literal["better", "worse", "same", "regressed", "passed", "inconclusive", "not_judged"]


@dataclass(frozen=True)
class Finding:
    """The verdict on one metric of one pair. `low`, `mid` and `high` are second over first, and of
    accuracy the fall in percentage points.

    `margin` is what still counts as no difference, in the same unit. `more_runs` of each side would
    probably decide an inconclusive case, None when that is not known; `p` is corrected over all
    tests of a call."""

    pair: str
    metric: Metric
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


def compared(
    observed: Sequence[Observed], *, margin_ratio: float, margin_points: float
) -> tuple[Finding, ...]:
    """How the second differs from the first, in both directions."""
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
        return _exact(
            one, margin_points if one.metric == "accuracy" else margin_ratio, two_sided=True
        )

    return tuple(finding(one) for one in observed)


def gated(
    observed: Sequence[Observed], limits: Mapping[Metric, float | None]
) -> tuple[Finding, ...]:
    """Whether the second is worse than the first by more than a limit: a ratio, of accuracy
    percentage points. A metric without a limit is left out."""
    wanted = [(one, limit) for one in observed if (limit := limits[one.metric]) is not None]
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
) -> dict[tuple[str, Metric], tuple[list[float], list[float]]]:
    """What statistics decide, by pair and metric."""
    return {(one.pair, one.metric): one.runs for one in observed if one.runs and not one.why_not}


def _exact(one: Observed, margin: float, *, two_sided: bool) -> Finding:
    """Of what does not change from run to run."""
    if one.metric == "size" and one.a and one.b is not None:
        return _sized(one, one.b / one.a, margin, two_sided=two_sided)
    if one.shift and not one.why_not:
        return _shifted(one, one.shift, margin, two_sided=two_sided)
    return Finding(
        one.pair,
        one.metric,
        "inconclusive" if one.judged else "not_judged",
        one.a,
        one.b,
        reason=one.why_not,
    )


def _of_ratio(
    one: Observed, verdict: Verdict, margin: float, found: Decision | Difference
) -> Finding:
    ratio = found.ratio
    low, high = (ratio.low, ratio.high) if ratio.bounded else (None, None)
    return Finding(
        one.pair,
        one.metric,
        verdict,
        one.a,
        one.b,
        low,
        ratio.mid,
        high,
        margin,
        found.p,
        found.more_runs,
        found.reason,
    )


def _sized(one: Observed, ratio: float, margin: float, *, two_sided: bool) -> Finding:
    if two_sided:
        verdict: Verdict = "worse" if ratio > margin else "better" if ratio < 1 / margin else "same"
    else:
        verdict = "regressed" if ratio > margin else "passed"
    return Finding(
        one.pair,
        one.metric,
        verdict,
        one.a,
        one.b,
        ratio,
        ratio,
        ratio,
        margin,
        reason=f"ratio {ratio:.3f}, exact",
    )


def _shifted(one: Observed, shift: Shift, margin: float, *, two_sided: bool) -> Finding:
    verdict: Verdict = "inconclusive"
    if shift.low > 0 and shift.mid > margin:
        verdict = "worse" if two_sided else "regressed"
    elif two_sided and shift.high < 0 and shift.mid < -margin:
        verdict = "better"
    elif shift.high < margin and (not two_sided or shift.low > -margin):
        verdict = "same" if two_sided else "passed"
    reason = (
        f"fell by {shift.mid:.2f} points, 95 % interval {shift.low:.2f} to {shift.high:.2f},"
        f" {one.note}"
    )
    if verdict == "inconclusive":
        reason += "; more samples would decide"
    return Finding(
        one.pair,
        one.metric,
        verdict,
        one.a,
        one.b,
        shift.low,
        shift.mid,
        shift.high,
        margin,
        reason=reason,
    )
