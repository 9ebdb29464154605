"""What a search is after: objectives, limits, and which of them a candidate misses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgekit.devices.target import Target
from edgekit.errors import UsageError
from edgekit.metrics import MetricKind
from edgekit.recipe.limits import DEADLINE_MISS_PERCENT, VariantBudget
from edgekit.recipe.search_section import Search
from edgekit.searching.figures import METRICS, Figures, SearchFigure

LABELS = {
    "latency_p50_ms": ("p50", "ms", 3),
    "peak_memory_bytes": ("memory", "bytes", 0),
    "size_bytes": ("size", "bytes", 0),
    "macs": ("MACs", "", 0),
}
OF_A_BOARD = (
    "latency_p50_ms",
    "peak_memory_bytes",
    "deadline_miss_percent",
    "latency_speedup_ratio",
)
"""Quantities that only a measurement tells."""
TIMES = ("latency_p50_ms", "deadline_miss_percent", "latency_speedup_ratio")
"""Of these, what an emulated board cannot tell."""
RELATIVE = (".drop", "size_shrink_ratio", "latency_speedup_ratio")
"""How the names of what is compared with a baseline end."""
SIZES = ("size_bytes", "size_shrink_ratio")
SIZE_SLACK = 1.01
"""The file of a trained net differs by some bytes from that of an untrained one."""

ANOTHER_BOARD = "name a board that tells: --target local measures on this machine"

Side = Literal["min", "max"]


@dataclass(frozen=True)
class Objective:
    """A quantity that is to be best."""

    name: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int = 2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Bound:
    """A quantity has at least (`min`) or at most (`max`) a value."""

    name: str
    side: Side
    allowed: float

    def __str__(self) -> str:
        return f"{self.name} {'≥' if self.side == 'min' else '≤'} {self.allowed:g}"

    def excess(self, value: float) -> float:
        """How far beyond the bound a value is, as a share of the bound; not above 0 where it is
        kept."""
        beyond = self.allowed - value if self.side == "min" else value - self.allowed
        return beyond / (abs(self.allowed) or 1.0)

    def surely_missed(self, figure: SearchFigure) -> bool:
        """Whether the whole interval lies beyond the bound."""
        best = figure.high if self.side == "min" else figure.low
        return self.excess(figure.value if best is None else best) > 0


@dataclass(frozen=True)
class Goals:
    """`ranked` are the quantities by which half-trained candidates are compared: the objectives,
    and metrics that have a limit."""

    objectives: tuple[Objective, ...]
    bounds: tuple[Bound, ...]
    ranked: tuple[Objective, ...]

    def needs(self, names: Sequence[str]) -> bool:
        """Whether an objective or a bound is one of these quantities."""
        return not set(self.asked).isdisjoint(names)

    @property
    def asked(self) -> tuple[str, ...]:
        """The quantities of all objectives and bounds, each once."""
        names = [objective.name for objective in self.objectives]
        return tuple(dict.fromkeys([*names, *(bound.name for bound in self.bounds)]))

    @property
    def needs_baseline(self) -> bool:
        return any(bound.name.endswith(RELATIVE) for bound in self.bounds)

    @property
    def needs_untrained(self) -> bool:
        """Whether the file of an untrained net tells something that is worth its making: what a
        board measures, or that a limit is missed."""
        return self.needs(OF_A_BOARD) or any(bound.name in SIZES for bound in self.bounds)

    def surely_missed(self, figures: Figures, *, untrained: bool = False) -> tuple[Bound, ...]:
        """The bounds that these figures cannot keep."""
        return tuple(
            bound
            for bound in self.bounds
            if (figure := figures.get(bound.name)) is not None
            and bound.surely_missed(_with_slack(bound.name, figure) if untrained else figure)
        )

    def excesses(self, figures: Figures) -> dict[str, float]:
        """How far beyond each bound the figures are; those that are not known are left out."""
        return {
            str(bound): bound.excess(figures[bound.name].value)
            for bound in self.bounds
            if bound.name in figures
        }

    def unknown(self, figures: Figures) -> list[str]:
        """Objectives and bounds that the figures say nothing of."""
        return [name for name in self.asked if name not in figures]


def _with_slack(name: str, figure: SearchFigure) -> SearchFigure:
    if name not in SIZES:
        return figure
    return SearchFigure(figure.value, figure.value / SIZE_SLACK, figure.value * SIZE_SLACK)


def goals(
    section: Search,
    budget: VariantBudget | None,
    metrics: Sequence[MetricKind],
    untold: Mapping[str, str],
) -> Goals:
    """The goals of a search: its own, and the budget's limits of the variant. `untold` are
    quantities that cannot be had here, with why: the budget's limits on them are left to a later
    run.

    Raises UsageError: a metric that the task does not have, or a quantity that is not to be had."""
    kinds = {metric.name: metric for metric in metrics}
    objectives = tuple(_objective(name, kinds) for name in section.objectives)
    own = tuple(
        Bound(name, side, allowed)
        for name, limit in section.limits.items()
        for side, allowed in _sides(limit.min, limit.max)
    )
    for name in Goals(objectives, own, ()).asked:
        if name in untold:
            raise UsageError(f"search: {name}: {untold[name]}", hint=ANOTHER_BOARD)
    of_budget = (
        []
        if budget is None
        else [bound for bound in _of_budget(budget) if bound.name not in untold]
    )
    bounds = dict.fromkeys((*own, *of_budget))
    limited = [bound.name.removesuffix(".drop") for bound in bounds]
    ranked = [_objective(name, kinds) for name in limited if name.startswith(METRICS)]
    return Goals(objectives, tuple(bounds), tuple(dict.fromkeys((*objectives, *ranked))))


def untold_by(board: Target | None) -> dict[str, str]:
    """What a board does not tell, with why."""
    if board is None:
        return dict.fromkeys(OF_A_BOARD, "only a board tells it, and there is none")
    if board.timings == "meaningless":
        return dict.fromkeys(
            TIMES, f"{board.name}: timings are meaningless: {board.timings_reason}"
        )
    return {}


def _objective(name: str, kinds: dict[str, MetricKind]) -> Objective:
    if not name.startswith(METRICS):
        label, unit, decimals = LABELS[name]
        return Objective(name, label, unit, False, decimals)
    kind = kinds.get(name.removeprefix(METRICS))
    if kind is None:
        there = ", ".join(f"{METRICS}{each}" for each in kinds)
        raise UsageError(f"search: the task has no metric {name}", hint=f"it has {there}")
    return Objective(name, kind.label, kind.unit, kind.higher_is_better, kind.decimals)


def _sides(least: float | None, most: float | None) -> Iterator[tuple[Side, float]]:
    if least is not None:
        yield "min", least
    if most is not None:
        yield "max", most


def _of_budget(budget: VariantBudget) -> Iterator[Bound]:
    """A variant's limits in the words of a search."""
    for name, limit in budget.metrics.items():
        for side, allowed in _sides(limit.min, limit.max):
            yield Bound(f"{METRICS}{name}", side, allowed)
        if limit.max_drop is not None:
            yield Bound(f"{METRICS}{name}.drop", "max", limit.max_drop)
    misses = budget.deadline_max_miss_percent
    least = {
        "runtimes_agreement_percent": budget.runtimes_min_agreement_percent,
        "size_shrink_ratio": budget.size_min_shrink_ratio,
        "latency_speedup_ratio": budget.latency_min_speedup_ratio,
    }
    most = {
        "size_bytes": budget.size_max_bytes,
        "latency_p50_ms": budget.latency_p50_max_ms,
        "peak_memory_bytes": budget.peak_memory_max_bytes,
        "deadline_miss_percent": None
        if budget.deadline_ms is None
        else (DEADLINE_MISS_PERCENT if misses is None else misses),
    }
    for side, values in (("min", least), ("max", most)):
        for name, value in values.items():
            if value is not None:
                yield Bound(name, "min" if side == "min" else "max", value)
