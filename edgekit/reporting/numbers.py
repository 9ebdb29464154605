"""Numbers as text: units, intervals, and what is not available. Decimal prefixes throughout: 1 MB
is 1,000,000 bytes."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgekit.metrics import MetricKind, MetricValue
from edgekit.stats import ClusteredShare, MedianRatio, QuantileEstimate

NOT_AVAILABLE = "n/a"
MOST_DIGITS = 13
"""More digits than usual than a number has."""


def size(count: int | None) -> str:
    """Bytes with three significant digits: 996 B, 38.4 kB, 3.91 MB."""
    if count is None:
        return NOT_AVAILABLE
    value = float(count)
    units = iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 999.5 and unit != "GB":
        value /= 1000
        unit = next(units)
    return f"{value:.0f} {unit}" if unit == "B" else f"{significant(value)} {unit}"


def amount(count: int) -> str:
    """A count with three significant digits: 812, 38.4 k, 2.24 M."""
    value = float(count)
    prefixes = iter(("", "k", "M", "G"))
    prefix = next(prefixes)
    while value >= 999.5 and prefix != "G":
        value /= 1000
        prefix = next(prefixes)
    return f"{significant(value)} {prefix}" if prefix else f"{value:.0f}"


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits without an exponent: 0.304, 4.01, 38.4, 1240."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"


def milliseconds(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else significant(value)


def estimate_ms(estimate: QuantileEstimate | None) -> str:
    """A latency in ms with its interval: `4.01 (3.97–4.05)`."""
    if estimate is None:
        return NOT_AVAILABLE
    bounds = (
        ""
        if estimate.low is None or estimate.high is None
        else f" ({significant(estimate.low / 1e6)}–{significant(estimate.high / 1e6)})"
    )
    return significant(estimate.value / 1e6) + bounds


def ratio(value: MedianRatio | None) -> str:
    """A ratio with its interval: `2.72× (2.61–2.83)`; without an interval when too few runs bound
    it."""
    if value is None:
        return NOT_AVAILABLE
    return f"{value.mid:.2f}×" + (f" ({value.low:.2f}–{value.high:.2f})" if value.bounded else "")


def metric(value: MetricValue | None) -> str:
    """A metric with its 95 % interval, without its unit: `92.00 (91.5–92.5)`."""
    if value is None:
        return NOT_AVAILABLE
    shown = f"{value.value:.{value.decimals}f}"
    if value.low is None or value.high is None:
        return shown
    digits = max(0, value.decimals - 1)
    return f"{shown} ({value.low:.{digits}f}–{value.high:.{digits}f})"


def metric_heading(kind: MetricKind | None) -> str:
    """The heading of a column of a metric: `top-1 % (95 %)`."""
    if kind is None:
        return "metric"
    return f"{kind.label} {kind.unit} (95 %)" if kind.unit else f"{kind.label} (95 %)"


def with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


def percent(value: float | None, digits: int = 2) -> str | None:
    """A share as `99.56 %`; None for what is not known."""
    return None if value is None else f"{value:.{digits}f} %"


def misses(value: ClusteredShare | None) -> str:
    """A share of inferences in percent with its interval: `0.25 (0.10–0.61)`; without an interval
    of a single run, which says nothing of others."""
    if value is None:
        return NOT_AVAILABLE
    share, low, high = (100 * each for each in (value.share, value.low, value.high))
    return f"{share:.2f}" + (f" ({low:.2f}–{high:.2f})" if value.groups > 1 else "")


def limits(
    name: str, allowed: float, measured: float | None, kind: MetricKind | None = None
) -> tuple[str, str]:
    """What a budget's limit allows and what was measured: of a metric of this kind in its unit, of
    others in the unit that the name ends with. Both have the digits that decide: 2.000× and
    1.996×."""
    if measured is None:
        return _limit(name, allowed, kind, 0), NOT_AVAILABLE
    more = more_digits(allowed, measured, lambda value, more: _limit(name, value, kind, more))
    return _limit(name, allowed, kind, more), _limit(name, measured, kind, more)


def more_digits(limit: float, value: float, shown: Callable[[float, int], str]) -> int:
    """How many digits more than usual it takes until a value that is not its limit does not look
    like it. `shown` is how a value is written with so many more."""
    return next(
        (
            more
            for more in range(MOST_DIGITS)
            if limit == value or shown(limit, more) != shown(value, more)
        ),
        0,
    )


def _limit(name: str, value: float, kind: MetricKind | None, more: int) -> str:
    """A value with some digits more than usual."""
    if kind is not None:
        unit = kind.difference_unit if name.endswith(".max_drop") else kind.unit
        return with_unit(f"{value:.{kind.decimals + more}f}", unit)
    if name.endswith("_bytes"):
        return f"{round(value):,} B" if more else size(round(value))
    units = {
        "_percent": f"{value:.{2 + more}f} %",
        "_points": f"{value:.{2 + more}f} points",
        "_ms": f"{significant(value, 3 + more)} ms",
        "_ratio": f"{value:.{2 + more}f}×",
    }
    usual = f"{value:.{more}f}" if more else f"{value:g}"
    return next((text for suffix, text in units.items() if name.endswith(suffix)), usual)
