"""What can be compared, and one such quantity of one pair of artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.stats import Shift

Scale = Literal["ratio", "difference"]


@dataclass(frozen=True)
class Quantity:
    """A latency, memory or size, which are compared as ratios, or a metric of the task or a share
    of inferences, which are compared by how much worse they are in their unit.

    `margin` is how much worse counts as no difference, unless somebody asks for another: of a
    metric its own. `least` is a difference in the unit that never counts as one, whatever ratio it
    is: no more than what the same artifact differs by from run to run."""

    name: str
    label: str
    unit: str
    higher_is_better: bool = False
    scale: Scale = "ratio"
    decimals: int = 2
    margin: float = 0.0
    least: float = 0.0

    def margin_ratio(self, ratio: float, first: float | None) -> float:
        """The ratio that still counts as no difference from a first value."""
        return max(ratio, 1 + self.least / first) if first else ratio


LATENCY_P50 = Quantity("latency_p50", "latency p50", "ms")
LATENCY_P99 = Quantity("latency_p99", "latency p99", "ms")
PEAK_MEMORY = Quantity("peak_memory", "model memory", "bytes", least=256 << 10)
"""What the model adds to its runner, at the peak. The runner's own is not the model's: of a .tflite
it is mostly Python, beside which a model may grow by half and hardly be seen."""
SIZE = Quantity("size", "size", "bytes")
DEADLINE_MISSES = "deadline_misses"


def deadline_misses(deadline_ms: float, margin: float) -> Quantity:
    """The share of inferences that take longer; up to `margin` points more or less are no
    difference."""
    return Quantity(
        DEADLINE_MISSES,
        f"over {deadline_ms:g} ms",
        "%",
        scale="difference",
        margin=margin,
    )


@dataclass(frozen=True)
class Observed:
    """One quantity of one pair, first (`a`) and second (`b`), in its unit.

    Of latency and memory `runs` are the values of the process runs; of a metric and of a deadline
    `shift` is how much worse the second is. `why_not` says why they must not be judged, and
    `judged` is False for what cannot be had with these settings at all."""

    pair: str
    quantity: Quantity
    a: float | None
    b: float | None
    runs: tuple[list[float], list[float]] | None = None
    shift: Shift | None = None
    why_not: str = ""
    judged: bool = True
    note: str = ""

    @property
    def metric(self) -> str:
        """The quantity's name."""
        return self.quantity.name
