"""From a model to the bytes of a `.pte` with float32 inputs and outputs.

What a scheme becomes there:

float32                    the float model
float16, int8 beside       weights stored in half precision or as int8 (int8: of linear and
  float activations        recurrent layers only), computed in float32 (edgekit/patches/correctness)
int8, dynamic activations  linear and recurrent layers with int8 weights; activations are quantized
                           while running
int8 in the graph          the converted graph with folded int8 weights
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from edgekit.backends.backend import ALL_FIXED, Dynamic, Lowered
from edgekit.backends.proof import prove
from edgekit.backends.pte.contents import read_pte
from edgekit.backends.pte.delegation import (
    executorch_delegation,
    operator_name,
    partitioner_reasons,
)
from edgekit.backends.tracing import (
    Weight,
    output_names,
    trace,
    weights,
    without_guards,
)
from edgekit.bundle.manifest import Delegation
from edgekit.captured_graph import layer_of
from edgekit.compress.layers import CONVOLUTIONS, kept_float, layers_with_weights
from edgekit.compress.scheme import Scheme
from edgekit.errors import EdgekitError, ExportError
from edgekit.patches.correctness.separate_bias import bias_after
from edgekit.patches.correctness.weight_storage import Storage, weight_storage
from edgekit.patches.speed.lowering import fast_executorch
from edgekit.prose import first_line


def lower(
    model: nn.Module,
    example: Mapping[str, Tensor],
    scheme: Scheme,
    keep_float: Sequence[str],
    *,
    partitioners: Sequence[Any],
    dynamic: Dynamic = ALL_FIXED,
) -> Lowered:
    """Lower an eager model, or a prepared graph where the scheme is in the graph, for inputs of
    `example`'s shapes but for `dynamic` sizes. `partitioners` give operators to delegates; without
    any, everything runs in portable kernels.

    Raises ExportError: cannot be traced or lowered, an operator without a kernel in the runtime
    (named with its module), a scheme that a layer cannot honour, weights that are not in the file.
    Raises ModelError for a `keep_float` pattern that matches nothing."""
    if not scheme.in_graph:
        model = model.eval()  # it is the reference, too
    if _is_stored_smaller(scheme):
        return _with_stored_weights(model, example, scheme, keep_float, partitioners, dynamic)
    source = _prepare(model, example, scheme, keep_float)
    if dynamic and isinstance(source, fx.GraphModule):
        source = without_guards(source)
    program = trace(source, example, dynamic)
    graph_weights, names = weights(program), output_names(program)
    data, delegation = _lower(program, partitioners)
    reference = source if scheme.in_graph else model
    return _proved(data, delegation, graph_weights, {}, reference, names)


def _is_stored_smaller(scheme: Scheme) -> bool:
    """Whether only the file's weights are smaller, and everything is computed in float32."""
    return scheme.activations == "float" and scheme.weights != "float32" and not scheme.in_graph


def _proved(
    data: bytes,
    delegation: Delegation,
    graph_weights: Sequence[Weight],
    dtypes: Mapping[str, str],
    reference: nn.Module,
    names: tuple[str, ...],
) -> Lowered:
    contents = read_pte(data)
    proof = prove(graph_weights, contents.constants, dtypes)
    return Lowered(data, reference, names, proof, contents.arena_bytes, delegation)


def _with_stored_weights(
    model: nn.Module,
    example: Mapping[str, Tensor],
    scheme: Scheme,
    keep_float: Sequence[str],
    partitioners: Sequence[Any],
    dynamic: Dynamic,
) -> Lowered:
    """The float model with smaller weights in the file."""
    float_layers = kept_float(model, keep_float)
    source, storage = model, Storage(scheme.weights)
    if storage is Storage.INT8:
        from edgekit.compress.quantize.lstm import rewrite_lstm

        require_no_convolutions(model, float_layers)
        source = bias_after(rewrite_lstm(model, keep=keep_float), float_layers)
    program = trace(source, example, dynamic)
    graph_weights, names = weights(program), output_names(program)
    with weight_storage(storage, float_layers):
        data, delegation = _lower(program, partitioners)
    dtypes = {
        weight.layer: storage.value for weight in graph_weights if weight.layer not in float_layers
    }
    return _proved(data, delegation, graph_weights, dtypes, model, names)


def _prepare(
    model: nn.Module, example: Mapping[str, Tensor], scheme: Scheme, keep_float: Sequence[str]
) -> nn.Module:
    """The eager model to lower."""
    if scheme.in_graph:
        from edgekit.compress.quantize.pt2e import convert

        return convert(model, fold=True)  # type: ignore[arg-type]
    if scheme.activations == "dynamic":
        from edgekit.compress.quantize.pt2e import convert, prepare_dynamic

        return convert(prepare_dynamic(model, example, keep_float=keep_float), fold=True)
    return model


def require_no_convolutions(model: nn.Module, float_layers: frozenset[str]) -> None:
    """Raises ExportError for convolutions that would have int8 weights: plain kernels would be many
    times slower than the float model."""
    refused = float_convolutions(model, float_layers)
    if refused:
        shown = ", ".join(refused[:3]) + (f" and {len(refused) - 3} more" if refused[3:] else "")
        raise ExportError(
            "weight_only in .pte is for linear and recurrent layers: XNNPACK has no convolution"
            f" with int8 weights and float activations ({shown})",
            hint="list them in keep_float, use method fp16, ptq or qat, or export to litert only",
        )


def float_convolutions(model: nn.Module, float_layers: frozenset[str]) -> list[str]:
    """Names of the convolutions that are not in `float_layers`."""
    return [
        name
        for name, layer in layers_with_weights(model).items()
        if isinstance(layer, CONVOLUTIONS) and name not in float_layers
    ]


def _lower(program: ExportedProgram, partitioners: Sequence[Any]) -> tuple[bytes, Delegation]:
    """Lower, check that the runtime has every kernel, and serialize."""
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    try:
        with fast_executorch(), partitioner_reasons() as reasons:
            edge = to_edge_transform_and_lower(
                program,
                partitioner=list(partitioners),
                # The check by kernels below is stricter, and names the module.
                compile_config=EdgeCompileConfig(_check_ir_validity=False),
            )
        graph = edge.exported_program().graph_module
        delegation, places = executorch_delegation(graph, reasons), _places(graph.graph)
        _require_kernels(places)
        with fast_executorch():
            return bytes(edge.to_executorch().buffer), delegation
    except EdgekitError:
        raise
    # Lowering fails in many ways; what the runtime lacks is the likeliest cause.
    except Exception as error:
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
        operators = ", ".join(
            f"{operator_name(node)} in {layer_of(node) or 'the model itself'}" for node in missing
        )
        raise ExportError(
            f"ExecuTorch has no kernel for {operators}",
            hint="replace the operator in the model",
            details={
                "operators": [
                    {"operator": operator_name(node), "module": layer_of(node)} for node in missing
                ]
            },
        )
