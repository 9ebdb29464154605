"""How artifacts look in figures: a colour a variant, a shape and a line a runtime, hollow where a
number is not to be judged."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.measure.measurement import Measurement
from edgekit.reporting.page.values import SERIES
from edgekit.reporting.tables import MEANINGLESS
from edgekit.sanitize import printable

RUNTIME_LABELS = {"executorch": "ExecuTorch", "litert": "LiteRT"}
SYMBOLS = {"executorch": "circle", "litert": "diamond"}
DASHES = {"executorch": "solid", "litert": "dot"}


@dataclass(frozen=True)
class Style:
    colour: str
    symbol: str
    dash: str


def styles(measurement: Measurement) -> dict[str, Style]:
    """By artifact key; the first variant is the plain one that others stand out against."""
    variants = list(dict.fromkeys(result.artifact.variant for result in measurement.artifacts))
    return {
        result.key: Style(
            colour=SERIES[variants.index(result.artifact.variant) % len(SERIES)],
            symbol=SYMBOLS[result.artifact.runtime],
            dash=DASHES[result.artifact.runtime],
        )
        for result in measurement.artifacts
    }


def mark(measurement: Measurement) -> str:
    """Behind every time that means nothing."""
    return MEANINGLESS if measurement.timings == "meaningless" else ""


def flag(measurement: Measurement) -> str:
    """What must be said wherever the numbers of a measurement are shown; empty when they count."""
    if measurement.timings == "meaningless":
        return printable(
            f"{MEANINGLESS} timings are meaningless:"
            f" {measurement.timings_reason or 'the target says so'}",
            limit=300,
        )
    if measurement.failure:
        return "incomplete"
    if not measurement.valid:
        return "invalid"
    return "quick" if measurement.quick else ""
