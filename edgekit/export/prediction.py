"""What an export would run into, without exporting: layers that stay float, operators that XNNPACK
would leave to portable kernels, and operators LiteRT cannot convert. Asks the quantizer, the
partitioner and the converter's table themselves; lowers and writes nothing."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from torch import Tensor, fx, nn
from torchao.quantization.pt2e import FakeQuantizeBase, ObserverBase

from edgekit.captured_graph import argument, layer_of
from edgekit.errors import ExportError
from edgekit.export.delegation import operator_name, partitioner_reasons
from edgekit.export.graph import WEIGHT_ARGUMENTS, trace
from edgekit.patches.speed.lowering import fast_executorch


@dataclass(frozen=True)
class Fallback:
    """An operator outside the delegate: how often, the first module it is in, and the partitioner's
    reason ("" when it gives none)."""

    operator: str
    count: int
    module: str
    reason: str


def xnnpack_fallbacks(model: nn.Module, example: Tensor) -> tuple[Fallback, ...]:
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
        raise ExportError(
            f"ExecuTorch cannot lower the model: {str(error).strip().splitlines()[0]}"
        ) from error
    found: dict[str, Fallback] = {}
    for node in nodes:
        if (
            node.op == "call_function"
            and hasattr(node.target, "_schema")
            and "delegation_tag" not in node.meta
        ):
            name = operator_name(node)
            earlier = found.get(name)
            module = earlier.module if earlier else layer_of(node)
            found[name] = Fallback(
                name, (earlier.count if earlier else 0) + 1, module, reasons.get(name, "")
            )
    return tuple(found.values())


def require_litert_lowerings(model: nn.Module, example: Tensor) -> None:
    """Raises ExportError for operators of a float model that LiteRT's converter has no lowering
    for, named with their module."""
    from edgekit.export.litert import require_lowerings

    program = trace(model.eval(), example)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the converter prints its steps
        require_lowerings(program)


def float_layers(graph: fx.GraphModule) -> tuple[str, ...]:
    """Layers of a prepared graph whose weights no observer watches: they stay float."""
    found: dict[str, None] = {}
    for node in graph.graph.nodes:
        for position in WEIGHT_ARGUMENTS.get(node.target, ()):
            weight = argument(node, position)
            source = weight[0] if isinstance(weight, list | tuple) else weight
            watched = source.op == "call_module" and isinstance(
                graph.get_submodule(str(source.target)), ObserverBase | FakeQuantizeBase
            )
            if not watched:
                found[layer_of(node)] = None
    return tuple(found)
