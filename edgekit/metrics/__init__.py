"""Metrics: what a task measures about a model's answers, and what was measured.

Owns the two values `MetricKind` and `MetricValue`, and what a metric can be over all samples. What
an answer is worth is decided by the task (edgekit.tasks); formulas of intervals and tests come from
edgekit.stats. No torch, and no name of a metric.

    values      metrics and their values
    statistics  the table of statistics
    exact       shares and means
    resampled   intervals of all others
    ratios      RMSE, R², mIoU, balanced accuracy, recall of the worst class, F1
    ranking     average precision, area under the ROC curve
    detection   average precision of detections
"""

from __future__ import annotations

from edgekit.metrics.values import (
    MetricKind,
    MetricValue,
    UndefinedError,
    headline,
    metric_value,
    named_metric,
    proportion_value,
)

__all__ = [
    "MetricKind",
    "MetricValue",
    "UndefinedError",
    "headline",
    "metric_value",
    "named_metric",
    "proportion_value",
]
