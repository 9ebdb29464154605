"""Metrics: what a task measures about a model's answers, and what was measured.

Owns the two values `MetricKind` and `MetricValue`. What an answer is worth is decided by the task
(edgekit.tasks); intervals and tests come from edgekit.stats. No torch, and no name of a metric.
"""

from __future__ import annotations

from edgekit.metrics.values import (
    MetricKind,
    MetricValue,
    headline,
    metric_value,
    named_metric,
    proportion_value,
)

__all__ = [
    "MetricKind",
    "MetricValue",
    "headline",
    "metric_value",
    "named_metric",
    "proportion_value",
]
