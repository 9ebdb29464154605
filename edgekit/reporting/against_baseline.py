"""Which artifact the others are compared with, and the figures that say how they compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from edgekit.metrics import MetricValue, headline, named_metric
from edgekit.recipe.stored import stored_sections
from edgekit.reporting import numbers
from edgekit.reporting.tables import DASH

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Artifact, Manifest


def baseline_variant(manifest: Manifest) -> str:
    """The variant that ratios and drops refer to: the budget's baseline, else the first."""
    named = stored_sections(manifest.recipe).budget.baseline
    if named:
        return named
    return manifest.artifacts[0].variant if manifest.artifacts else ""


def baseline_of(
    artifact: Artifact, artifacts: Iterable[Artifact], baseline: str
) -> Artifact | None:
    return next(
        (a for a in artifacts if a.variant == baseline and a.backend == artifact.backend), None
    )


class HasMetrics(Protocol):
    """A stage's row, or the verification of an artifact."""

    @property
    def metrics(self) -> tuple[MetricValue, ...]: ...


def first_headline(measured: Iterable[HasMetrics]) -> MetricValue | None:
    """The headline metric that heads a column: the first that there is."""
    headlines = (headline(row.metrics) for row in measured)
    return next(filter(None, headlines), None)


def headline_drop(artifact: Artifact, base: Artifact | None) -> str:
    """How much worse the headline metric is than the baseline's, in its unit."""
    if base is None or base.key == artifact.key:
        return DASH
    metric = headline(artifact.verification.metrics)
    reference = named_metric(base.verification.metrics, metric.name) if metric else None
    if metric is None or reference is None:
        return numbers.NOT_AVAILABLE
    drop = metric.drop(reference.value, metric.value)
    sign = "+" if drop < 0 else ""
    return f"{drop:{sign}.{metric.decimals}f}"
