"""To ExecuTorch: a `.pte` with float32 input and output, delegated to XNNPACK or left to portable
kernels.

none         the float model
fp16         weights stored in half precision, computed in float32 (patches)
weight_only  weights of linear and recurrent layers stored as int8, computed in float32 (patches)
dynamic      linear and recurrent layers with int8 weights, and activations quantized while running
ptq, qat     the converted graph with folded int8 weights
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from edgekit.bundle.manifest import Delegation
from edgekit.captured_graph import layer_of
from edgekit.compress.layers import CONVOLUTIONS, kept_float, layers_with_weights
from edgekit.errors import EdgekitError, ExportError
from edgekit.export.delegation import executorch_delegation, operator_name, partitioner_reasons
from edgekit.export.graph import Weight, first_line, trace, weights
from edgekit.patches.correctness.separate_bias import bias_after
from edgekit.patches.correctness.weight_storage import Storage, weight_storage
from edgekit.patches.speed.lowering import fast_executorch


@dataclass(frozen=True)
class Pte:
    """A lowered program: its bytes, where its operators run, the weights it must hold, by layer the
    dtype where that is not the graph's own, and the eager model it must agree with."""

    data: bytes
    delegation: Delegation
    weights: tuple[Weight, ...]
    dtypes: Mapping[str, str]
    reference: nn.Module


def to_pte(
    model: nn.Module,
    example: Tensor,
    *,
    method: str | None,
    keep_float: Sequence[str] = (),
    backend: str = "xnnpack",
) -> Pte:
    """Lower an eager model, or a prepared graph when `method` is ptq or qat, for inputs of
    `example`'s shape.

    Raises ExportError: cannot be traced or lowered, an operator without a kernel in the runtime
    (named with its module), a method that a layer cannot honour. Raises ModelError for a
    `keep_float` pattern that matches nothing."""
    if method in ("fp16", "weight_only"):
        return _with_stored_weights(model.eval(), example, method, keep_float, backend)
    source = _prepare(model, example, method, keep_float)
    program = trace(source, example)
    held = weights(program)
    return Pte(*_lower(program, backend), held, {}, source if method in ("ptq", "qat") else model)


def _with_stored_weights(
    model: nn.Module, example: Tensor, method: str, keep_float: Sequence[str], backend: str
) -> Pte:
    """The float model with smaller weights in the file."""
    if backend != "xnnpack":
        raise ExportError(
            f"method {method} needs backend xnnpack",
            hint="set export.backend: xnnpack, or use ptq or qat",
        )
    kept = kept_float(model, keep_float)
    source, storage = model, Storage.FLOAT16
    if method == "weight_only":
        from edgekit.compress.quantize.lstm import rewrite_lstm

        _refuse_convolutions(model, kept)
        source, storage = bias_after(rewrite_lstm(model, keep=keep_float), kept), Storage.INT8
    program = trace(source, example)
    held = weights(program)
    with weight_storage(storage, kept):
        data, delegation = _lower(program, backend)
    return Pte(
        data,
        delegation,
        held,
        {weight.layer: storage.value for weight in held if weight.layer not in kept},
        model,
    )


def _prepare(
    model: nn.Module, example: Tensor, method: str | None, keep_float: Sequence[str]
) -> nn.Module:
    """The eager model to lower."""
    if method in ("ptq", "qat"):
        from edgekit.compress.quantize.pt2e import convert

        return convert(model, fold=True)  # type: ignore[arg-type]
    if method == "dynamic":
        from edgekit.compress.quantize.pt2e import convert, prepare_dynamic

        return convert(prepare_dynamic(model, {"input": example}, keep_float=keep_float), fold=True)
    return model.eval()


def _refuse_convolutions(model: nn.Module, kept: frozenset[str]) -> None:
    """Raises ExportError for convolutions that would have int8 weights: plain kernels would be many
    times slower than the float model."""
    refused = [
        name
        for name, layer in layers_with_weights(model).items()
        if isinstance(layer, CONVOLUTIONS) and name not in kept
    ]
    if refused:
        shown = ", ".join(refused[:3]) + (f" and {len(refused) - 3} more" if refused[3:] else "")
        raise ExportError(
            "weight_only in .pte is for linear and recurrent layers: XNNPACK has no convolution"
            f" with int8 weights and float activations ({shown})",
            hint="list them in keep_float, use method fp16, ptq or qat, or export to litert only",
        )


def _lower(program: ExportedProgram, backend: str) -> tuple[bytes, Delegation]:
    """Lower, check that the runtime has every kernel, and serialize."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    try:
        with fast_executorch(), partitioner_reasons() as reasons:
            edge = to_edge_transform_and_lower(
                program,
                partitioner=[XnnpackPartitioner()] if backend == "xnnpack" else [],
                compile_config=EdgeCompileConfig(
                    _check_ir_validity=False
                ),  # the check by kernels below is stricter, and names the module
            )
        graph = edge.exported_program().graph_module
        delegation, places = executorch_delegation(graph, reasons), _places(graph.graph)
        _require_kernels(places)
        with fast_executorch():
            return bytes(edge.to_executorch().buffer), delegation
    except EdgekitError:
        raise
    except (
        Exception
    ) as error:  # lowering fails in many ways; what the runtime lacks is the likeliest cause
        _require_kernels(_not_core(program.run_decompositions()))
        raise ExportError(f"ExecuTorch cannot lower the model: {first_line(error)}") from error


def _places(graph: fx.Graph) -> dict[str, list[fx.Node]]:
    """Operators outside delegates, by kernel name without overload, such as `aten::add`."""
    places: dict[str, list[fx.Node]] = defaultdict(list)
    for node in graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op == "call_function" and schema is not None:
            places[schema.name].append(node)
    return places


def _not_core(program: ExportedProgram) -> dict[str, list[fx.Node]]:
    """Operators of a decomposed program that are not in the core set, which is what lowering is
    made for."""
    places = _places(program.graph_module.graph)
    return {
        name: nodes
        for name, nodes in places.items()
        if torch.Tag.core not in getattr(nodes[0].target, "tags", ())
    }


def _require_kernels(places: Mapping[str, Sequence[fx.Node]]) -> None:
    """Raises ExportError for operators that the runtime has no kernel for. Its registry holds the
    same kernels as the native runner's libraries."""
    import executorch.kernels.quantized  # noqa: F401  registers them
    from executorch.runtime import Runtime

    known = {name.split(".")[0] for name in Runtime.get().operator_registry.operator_names}
    missing = [node for name, nodes in places.items() if name not in known for node in nodes[:1]]
    if missing:
        found = ", ".join(
            f"{operator_name(node)} in {layer_of(node) or 'the model itself'}" for node in missing
        )
        raise ExportError(
            f"ExecuTorch has no kernel for {found}",
            hint="replace the operator in the model",
            details={
                "operators": [
                    {"operator": operator_name(node), "module": layer_of(node)} for node in missing
                ]
            },
        )
