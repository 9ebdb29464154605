"""Measurements of format 1, as older databases hold them, as data of format 2. Owns what changed
between the two; everything else knows format 2 only.

    artifacts.artifact   as in manifests (edgekit.bundle.format1)
    artifacts.accuracy   artifacts.evaluation
    runtimes.same_top1   runtimes.agreement_percent
"""

from __future__ import annotations

from typing import Any

from edgekit.bundle.format1 import (
    TOP1,
    TOP5,
    counted_metrics,
    is_format1,
    upgraded_artifact,
    upgraded_comparison,
)


def upgraded_measurement(data: Any) -> Any:
    """A measurement of format 1 as data of format 2; any other data as it is.

    Raises ValueError or AttributeError for what is no measurement of format 1."""
    if not is_format1(data):
        return data
    return {
        **data,
        "format": 2,
        "artifacts": [_result(result) for result in data.get("artifacts", [])],
        "runtimes": [upgraded_comparison(pair) for pair in data.get("runtimes", [])],
    }


def _result(result: dict[str, Any]) -> dict[str, Any]:
    changed = dict(result)
    accuracy = changed.pop("accuracy", None)
    changed["artifact"] = upgraded_artifact(changed.get("artifact", {}))
    changed["evaluation"] = _evaluation(accuracy) if accuracy else None
    return changed


def _evaluation(accuracy: dict[str, Any]) -> dict[str, Any]:
    """Which samples were right is kept as it was: it has the form that a proportion's has."""
    samples = accuracy["samples"]
    metrics = counted_metrics(accuracy.get("top1_correct"), samples, TOP1)
    for metric in metrics:
        metric["per_sample"] = accuracy.get("right", "")
    same = accuracy.get("same_top1")
    return {
        "samples": samples,
        "metrics": [*metrics, *counted_metrics(accuracy.get("top5_correct"), samples, TOP5)],
        "agreement_percent": None if same is None else 100 * same / samples,
        "max_abs_error": accuracy.get("max_abs_error"),
        "snr_db": accuracy.get("snr_db"),
        "data_sha256": accuracy.get("data_sha256", ""),
    }
