"""Figures of candidates as text, in the words of their objectives. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.searching.figures import Figures, SearchFigure
from edgekit.searching.goals import Objective


def in_words(figures: Figures, objectives: Sequence[Objective]) -> str:
    """`top-1 97.33 %, p50 1.23 ms`."""
    return ", ".join(
        f"{each.label} {value_text(figures[each.name].value, each)}{unit_text(each)}"
        for each in objectives
        if each.name in figures
    )


def value_text(value: float, objective: Objective) -> str:
    """A value without its unit: metrics with their decimals, others with three digits."""
    if objective.name.endswith("_bytes") or objective.name == "macs":
        return f"{value:,.0f}"
    if objective.name.endswith("_ms"):
        return f"{value:.3g}"
    return f"{value:.{objective.decimals}f}"


def figure_text(figure: SearchFigure | None, objective: Objective) -> str:
    """A value with its interval, where it has one: `97.33 (96.1–98.2)`."""
    if figure is None:
        return "–"
    text = value_text(figure.value, objective)
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return text
    low, high = (value_text(bound, objective) for bound in (figure.low, figure.high))
    return f"{text} ({low}–{high})"


def unit_text(objective: Objective) -> str:
    return f" {objective.unit}" if objective.unit else ""
