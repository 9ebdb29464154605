"""Which operators of a `.tflite` run in the delegate, which fall back to plain kernels, and why.

The source is the interpreter of this machine after it applied its XNNPACK delegate: its DELEGATE
nodes name the tensors they take and give, and every operator between them was replaced. LiteRT
gives no reasons; the tensor types of what was left are reported instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.bundle.manifest import Delegation


def litert_delegation(
    operators: Sequence[Mapping[str, Any]], types: Mapping[int, str]
) -> Delegation:
    """Read an allocated interpreter's operators (`index`, `op_name`, `inputs`, `outputs`) and its
    tensors' types."""
    plain = [operator for operator in operators if operator["op_name"] != "DELEGATE"]
    producer = {int(tensor): operator for operator in plain for tensor in operator["outputs"]}
    replaced: set[int] = set()
    for delegate in operators:
        if delegate["op_name"] == "DELEGATE":
            replaced |= _between(delegate, producer)
    delegated = Counter(operator["op_name"] for operator in plain if operator["index"] in replaced)
    left = [operator for operator in plain if operator["index"] not in replaced]
    reasons = {
        operator["op_name"]: (
            "not taken by LiteRT's XNNPACK delegate with inputs"
            f" {', '.join(types[int(t)] for t in operator['inputs'] if t >= 0)}"
        )
        for operator in reversed(left)
    }
    fallback = Counter(operator["op_name"] for operator in left)
    return Delegation(
        delegate="XNNPACK" if replaced else "none",
        delegated=_by_name(delegated),
        fallback=_by_name(fallback),
        reasons=reasons,
    )


def _between(delegate: Mapping[str, Any], producer: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Indices of the operators from a delegate's inputs to its outputs."""
    stop = {int(tensor) for tensor in delegate["inputs"]}
    pending = [int(tensor) for tensor in delegate["outputs"]]
    replaced: set[int] = set()
    while pending:
        operator = producer.get(pending.pop())
        if operator is not None and operator["index"] not in replaced:
            replaced.add(operator["index"])
            pending += [int(tensor) for tensor in operator["inputs"] if int(tensor) not in stop]
    return replaced


def _by_name(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
