"""Which operators of a `.pte` run in the delegate, which fall back to plain kernels, and why.

The source is the lowered graph itself, and the reasons that XNNPACK's partitioner gives for each
node it refuses."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping

from torch import fx

from edgekit.bundle.manifest import Delegation, Operation
from edgekit.captured_graph import layer_of

PARTITIONER_LOGS = "executorch.backends.xnnpack.partition"


@contextlib.contextmanager
def partitioner_reasons() -> Iterator[dict[str, str]]:
    """Collect, by operator, why XNNPACK's partitioner refuses nodes while the context is open."""
    reasons: dict[str, str] = {}

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            node, reason = getattr(record.msg, "node", None), getattr(record.msg, "reason", None)
            if node is not None and reason:
                reasons[operator_name(node)] = " ".join(str(reason).split())

    logger, handler = logging.getLogger(PARTITIONER_LOGS), Collect()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield reasons
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def operator_name(node: fx.Node) -> str:
    """`aten.convolution` for an edge or ATen operator; `.default` is left out."""
    name = getattr(node.target, "__name__", str(node.target))
    if "." in name and "::" not in name and not name.startswith(("aten.", "quantized_decomposed.")):
        name = f"aten.{name}"
    return name.removesuffix(".default")


def executorch_delegation(graph: fx.GraphModule, reasons: Mapping[str, str]) -> Delegation:
    """Read a lowered edge graph. Inside the delegate, quantize and dequantize nodes are part of the
    operators around them and are not counted."""
    from executorch.exir.lowered_backend_module import get_lowered_submodules

    lowered = [module for _, module, _ in get_lowered_submodules(graph)]
    delegated = Counter(
        name
        for module in lowered
        for name in _operators(module.original_module.graph)
        if "quantize_per_" not in name
    )
    fallback = Counter(_operators(graph.graph))
    backends = {module.backend_id for module in lowered}
    absent = "XNNPACK has no such operator" if lowered else "portable kernels were asked for"
    why = {name: reasons.get(name, absent) for name in fallback}
    return Delegation(
        delegate=", ".join(sorted(backends)) or "none",
        delegated=_by_name(delegated),
        fallback=_by_name(fallback),
        reasons=why,
        sequence=tuple(_sequence(graph)),
    )


def _sequence(graph: fx.GraphModule) -> Iterator[Operation]:
    """Everything that runs, in order; delegate calls are numbered in the order of their calls."""
    from executorch.exir.delegate import executorch_call_delegate

    calls = 0
    for node in graph.graph.nodes:
        if node.op == "call_function" and node.target is executorch_call_delegate:
            lowered = getattr(graph, str(node.args[0]))
            for inner in lowered.original_module.graph.nodes:
                if _is_operator(inner) and "quantize_per_" not in operator_name(inner):
                    yield Operation(
                        operator=operator_name(inner), layer=layer_of(inner), delegate=calls
                    )
            calls += 1
        elif _is_operator(node):
            yield Operation(operator=operator_name(node), layer=layer_of(node))


def _operators(graph: fx.Graph) -> Iterator[str]:
    for node in graph.nodes:
        if _is_operator(node):
            yield operator_name(node)


def _is_operator(node: fx.Node) -> bool:
    return node.op == "call_function" and hasattr(node.target, "_schema")


def _by_name(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
