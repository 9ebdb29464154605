"""Numbers as text: units, intervals, and what is not available. Decimal prefixes throughout: 1 MB
is 1,000,000 bytes."""

from __future__ import annotations

import math

from edgekit.metrics import MetricKind, MetricValue
from edgekit.stats import ClusteredShare, MedianRatio, QuantileEstimate

NOT_AVAILABLE = "n/a"


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


def significant(value: float) -> str:
    """Three significant digits without an exponent: 0.304, 4.01, 38.4, 1240."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


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


def amount_of(value: float, kind: MetricKind) -> str:
    """A value of a metric with its unit."""
    return with_unit(f"{value:.{kind.decimals}f}", kind.unit)


def difference_of(value: float, kind: MetricKind) -> str:
    """A difference of two values of a metric with its unit."""
    return with_unit(f"{value:.{kind.decimals}f}", kind.difference_unit)


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


def limit(name: str, value: float | None, kind: MetricKind | None = None) -> str:
    """The value of a budget's limit: of a metric of this kind in its unit, of others in the unit
    that the name ends with."""
    if value is None:
        return NOT_AVAILABLE
    if kind is not None:
        drop = name.endswith(".max_drop")
        return difference_of(value, kind) if drop else amount_of(value, kind)
    if name.endswith("_bytes"):
        return size(round(value))
    units = {
        "_percent": f"{value:.2f} %",
        "_points": f"{value:.2f} points",
        "_ms": f"{significant(value)} ms",
        "_ratio": f"{value:.2f}×",
    }
    return next((text for suffix, text in units.items() if name.endswith(suffix)), f"{value:g}")
