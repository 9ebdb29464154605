"""What a lowering to XNNPACK would run into, without lowering: convolutions that cannot have int8
weights beside float activations, and operators that XNNPACK would leave to portable kernels. Asks
the partitioner itself; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.backends.pte.delegation import operator_name, partitioner_reasons
from edgekit.backends.pte.lowering import float_convolutions
from edgekit.backends.tracing import trace
from edgekit.captured_graph import layer_of
from edgekit.compress.layers import kept_float
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.pt2e import convert, prepare_dynamic, prepare_ptq
from edgekit.compress.remarks import Remark
from edgekit.compress.scheme import Scheme
from edgekit.errors import ExportError
from edgekit.patches.speed.lowering import fast_executorch
from edgekit.prose import first_line

ANOTHER_OPERATOR = (
    "another operator there, or accept it: `edgekit bench --profile` shows what it costs"
)


@dataclass(frozen=True)
class Fallback:
    """An operator outside the delegate: how often, the first module it is in, and the partitioner's
    reason ("" when it gives none)."""

    operator: str
    count: int
    module: str
    reason: str


def predict_xnnpack(
    model: nn.Module, example: Mapping[str, Tensor], scheme: Scheme, keep_float: Sequence[str]
) -> Iterator[Remark]:
    """Asked of the network as it will be lowered: after int8 with ranges from `example`, which the
    answer does not depend on. Raises ExportError when the model cannot be traced."""
    if scheme.weights == "int8" and scheme.activations == "float":
        yield from _convolutions_with_int8_weights(model, keep_float)
    lowered = _as_lowered(model, example, scheme, keep_float)
    for fallback in xnnpack_fallbacks(lowered, example):
        times = f"{fallback.count} times, first " if fallback.count > 1 else ""
        yield Remark(
            "falls-back",
            "note",
            (),
            f"{fallback.operator} ({times}in {fallback.module or 'the model itself'}) would run in"
            " portable kernels, not in XNNPACK",
            f"XNNPACK says: {fallback.reason}" if fallback.reason else ANOTHER_OPERATOR,
        )


def _convolutions_with_int8_weights(
    model: nn.Module, keep_float: Sequence[str]
) -> Iterator[Remark]:
    names = float_convolutions(model, kept_float(model, keep_float))
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        yield Remark(
            "weight-only-convolution",
            "error",
            ("method",),
            "weight_only in .pte is for linear and recurrent layers, not for the convolutions"
            f" {shown}",
            "method: fp16, or list them in keep_float",
        )


def _as_lowered(
    model: nn.Module, example: Mapping[str, Tensor], scheme: Scheme, keep_float: Sequence[str]
) -> nn.Module:
    if scheme.in_graph:
        prepared = prepare_ptq(model, example, keep_float=keep_float, observer="minmax")
        calibrate(prepared, [example])
        return convert(prepared, fold=True)
    if scheme.activations == "dynamic":
        return convert(prepare_dynamic(model, example, keep_float=keep_float), fold=True)
    return model


def xnnpack_fallbacks(model: nn.Module, example: Mapping[str, Tensor]) -> tuple[Fallback, ...]:
    """What XNNPACK's partitioner would not take of a float model or a converted graph, for inputs
    of `example`'s shape. In eval mode.

    Raises ExportError when the model cannot be traced or brought into the edge dialect.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig
    from executorch.exir.program._program import (
        _gen_edge_manager_for_partitioners,
    )  # the first half of to_edge_transform_and_lower

    program, partitioner = trace(model, example), XnnpackPartitioner()
    try:
        with fast_executorch(), partitioner_reasons() as reasons:
            config = EdgeCompileConfig(_check_ir_validity=False)
            edge = _gen_edge_manager_for_partitioners(
                {"forward": [partitioner]}, {"forward": program}, config, None
            )
            nodes = partitioner.partition(
                edge.exported_program()
            ).tagged_exported_program.graph.nodes
    except Exception as error:  # lowering fails in many ways
        raise ExportError(f"ExecuTorch cannot lower the model: {first_line(error)}") from error
    by_operator: dict[str, Fallback] = {}
    for node in nodes:
        if (
            node.op == "call_function"
            and hasattr(node.target, "_schema")
            and "delegation_tag" not in node.meta
        ):
            name = operator_name(node)
            earlier = by_operator.get(name)
            module = earlier.module if earlier else layer_of(node)
            by_operator[name] = Fallback(
                name, (earlier.count if earlier else 0) + 1, module, reasons.get(name, "")
            )
    return tuple(by_operator.values())
