"""Manifests of format 1 as data of format 2. Owns what changed between the two; everything else
knows format 2 only.

Works on data that may be malformed anywhere: what it does not understand stays where it is, and the
model of the manifest reports it.

    verification, trace   top1_correct, top1_total        metrics
    verification          top1_agreement_percent          agreement_percent
    comparisons           same_top1                       agreement_percent
    evaluation            inputs, shape, labels, outputs  tensors with names
    artifacts             format                          runtime, backend
    artifacts             inputs, outputs                 the names of the model's tensors
    (not there)                                           task, inputs
"""

from __future__ import annotations

import math
from typing import Any

from edgekit.metrics import MetricKind, proportion_value

TASK = "classification"
"""The only one there was."""
TOP1 = MetricKind(
    name="top1",
    label="top-1",
    unit="%",
    higher_is_better=True,
    statistic="proportion",
    gate_margin=1.0,
)
TOP5 = MetricKind(
    name="top5",
    label="top-5",
    unit="%",
    higher_is_better=True,
    statistic="proportion",
    gate_margin=1.0,
)
INPUT, OUTPUT = "input", "output_0"
"""The names of the one input and the one output that models had."""
AGREEMENT_LABEL = "same top-1"


def is_format1(data: Any) -> bool:
    """Whether data says that it is of format 1."""
    return isinstance(data, dict) and type(data.get("format")) is int and data["format"] == 1


def upgraded_manifest(data: Any) -> Any:
    """A manifest of format 1 as data of format 2; any other data as it is."""
    if not is_format1(data):
        return data
    artifacts = _each(data.get("artifacts"), upgraded_artifact)
    changed = {
        **data,
        "format": 2,
        "inputs": _inputs(data.get("recipe")),
        "artifacts": artifacts,
        "trace": _each(data.get("trace"), _trace_row),
        "comparisons": _each(data.get("comparisons", []), upgraded_comparison),
    }
    if data.get("recipe"):  # a model that edgekit did not build has no recipe, and no task
        changed["task"] = TASK
    if data.get("evaluation"):
        changed["evaluation"] = _evaluation(data["evaluation"], artifacts)
    return changed


def upgraded_artifact(artifact: dict[str, Any]) -> dict[str, Any]:
    """An artifact of a manifest, or of a stored measurement, of format 1."""
    changed = dict(artifact)
    changed["runtime"] = changed.pop("format", None)
    changed["backend"] = _backend(changed["runtime"], artifact.get("delegation"))
    changed["inputs"] = _named(artifact.get("inputs"), INPUT)
    changed["outputs"] = _named(artifact.get("outputs"), OUTPUT)
    if isinstance(artifact.get("verification"), dict):
        verification = _with_metrics(artifact["verification"])
        verification["agreement_percent"] = verification.pop("top1_agreement_percent", None)
        changed["verification"] = verification
    return changed


def _backend(runtime: Any, delegation: Any) -> Any:
    """One runtime had two backends: one that delegated, and one that did not."""
    if runtime != "executorch":
        return runtime
    plain = isinstance(delegation, dict) and delegation.get("delegate") == "none"
    return "portable" if plain else "xnnpack"


def _named(specs: Any, name: str) -> Any:
    """The one tensor by its name of today. A model that edgekit did not build may have several."""
    if not isinstance(specs, list) or len(specs) != 1 or not isinstance(specs[0], dict):
        return specs
    return [{**specs[0], "name": name, "file_name": specs[0].get("name")}]


def _inputs(recipe: Any) -> dict[str, Any]:
    described = recipe.get("input") if isinstance(recipe, dict) else None
    if not isinstance(described, dict):
        return {}
    return {INPUT: {key: described.get(key) for key in ("shape", "mean", "std")}}


def upgraded_comparison(comparison: dict[str, Any]) -> dict[str, Any]:
    """A comparison of two artifacts of format 1."""
    changed = dict(comparison)
    same = changed.pop("same_top1", None)
    samples = comparison.get("samples")
    known = _is_count(same) and _is_count(samples) and samples
    changed["agreement_percent"] = 100 * same / samples if known else None
    changed["agreement_label"] = AGREEMENT_LABEL
    return changed


def counted_metrics(correct: Any, total: Any, kind: MetricKind = TOP1) -> list[dict[str, Any]]:
    """A count of right answers as metrics; none where there is no count.

    Raises ValueError for a count that is none."""
    if correct is None or not total:
        return []
    if not _is_count(correct) or not _is_count(total):
        raise ValueError(f"{correct!r} of {total!r} is no count")
    return [proportion_value(kind, correct, total).model_dump()]


def _trace_row(row: dict[str, Any]) -> dict[str, Any]:
    return _with_metrics(row)


def _with_metrics(values: dict[str, Any]) -> dict[str, Any]:
    changed = dict(values)
    changed["metrics"] = counted_metrics(
        changed.pop("top1_correct", None), changed.pop("top1_total", None)
    )
    return changed


def _evaluation(evaluation: Any, artifacts: Any) -> Any:
    """The set had one input, one output an artifact, and class numbers as targets."""
    if not isinstance(evaluation, dict) or not isinstance(evaluation.get("outputs"), dict):
        return evaluation
    first = artifacts[0] if isinstance(artifacts, list) and artifacts else {}
    inputs = evaluation.get("inputs")
    labels = evaluation.get("labels")
    return {
        "samples": evaluation.get("samples"),
        "inputs": [
            _tensor(_name(first, "inputs"), "float32", evaluation.get("shape"), inputs),
        ],
        "targets": _tensor("labels", "int32", [], labels) if labels else None,
        "outputs": {
            key: [_tensor(OUTPUT, "float32", _output_shape(evaluation, file), file)]
            for key, file in evaluation["outputs"].items()
        },
    }


def _tensor(name: str, dtype: str, shape: Any, file: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": shape, "file": file}


def _name(artifact: Any, side: str) -> str:
    try:
        return str(artifact[side][0]["name"])
    except (KeyError, IndexError, TypeError):
        return side


def _output_shape(evaluation: dict[str, Any], file: Any) -> list[int]:
    """Format 1 did not say it: the values of a sample, in one row."""
    try:
        return [math.floor(file["bytes"] / (4 * evaluation["samples"]))]
    except (KeyError, TypeError, ZeroDivisionError):
        return []


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _each(values: Any, change: Any) -> Any:
    """The change of every mapping in a list; anything else as it is."""
    if not isinstance(values, list):
        return values
    return [change(value) if isinstance(value, dict) else value for value in values]
