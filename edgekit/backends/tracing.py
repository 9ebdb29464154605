"""The traced model: one `torch.export` program for every backend, its weights, the names of its
outputs, and where each operator comes from.

Owns tracing and reading a program. Does not lower it, and knows no backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import tree_unflatten

from edgekit.backends.backend import ALL_FIXED, Dynamic
from edgekit.captured_graph import WEIGHT_ARGUMENTS, layer_of, unfused_attention
from edgekit.errors import ExportError
from edgekit.models.outputs import named_outputs
from edgekit.prose import first_line


@dataclass(frozen=True)
class Weight:
    """A layer's weight as the traced program holds it.

    `values` is float32, float16 or int8 in torch's layout (out, in/groups, *kernel); `scale` has
    one value per output channel, or one in all, and is None for floats."""

    layer: str
    values: NDArray[np.generic]
    scale: NDArray[np.float32] | None = None

    @property
    def dtype(self) -> str:
        return str(self.values.dtype)


BRANCHES = "data-dependent control flow in forward must be rewritten with torch.where or torch.cond"
FIXES_SIZES = (
    "the forward must work in every size from min to max (some need a `multiple_of`); where it asks"
    " for sizes itself, the graph of static int8 keeps those of training: leave out `dynamic`"
)


def trace(
    model: nn.Module, example: Mapping[str, Tensor], dynamic: Dynamic = ALL_FIXED
) -> ExportedProgram:
    """The program of `model` for inputs of exactly `example`'s shapes but for `dynamic` sizes, in
    `example`'s order.

    Raises ExportError: control flow that depends on values, a size that is to be dynamic and that
    the model fixes, or anything else `torch.export` cannot follow."""
    shapes = _shapes(example, dynamic) if dynamic else None
    try:
        with torch.no_grad(), unfused_attention():
            return torch.export.export(
                model, tuple(example.values()), dynamic_shapes=shapes, strict=False
            )
    # torch.export fails in many ways, and the model's own code runs in it.
    except Exception as error:
        raise ExportError(
            f"torch.export cannot trace the model: {first_line(error)}",
            hint=FIXES_SIZES if dynamic else BRANCHES,
        ) from error


def _shapes(example: Mapping[str, Tensor], dynamic: Dynamic) -> tuple[dict[int, Any], ...]:
    """Sizes as torch.export takes them: a multiple of a number between two bounds."""
    return tuple(
        {
            size.axis: size.multiple_of
            * Dim(
                f"size{place}_{size.axis}",
                min=size.min // size.multiple_of,
                max=None if size.max is None else size.max // size.multiple_of,
            )
            for size in dynamic.get(name, ())
        }
        for place, name in enumerate(example)
    )


def without_guards(graph: fx.GraphModule) -> fx.GraphModule:
    """A captured graph that no longer refuses other sizes than it was captured with. Changes the
    graph."""
    for node in list(graph.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph.graph.erase_node(node)
    graph.recompile()
    return graph


def output_names(program: ExportedProgram) -> tuple[str, ...]:
    """The names of what the traced model returns, in its order (edgekit/models/outputs.py)."""
    structure = program.call_spec.out_spec
    assert structure is not None
    return tuple(named_outputs(tree_unflatten(range(structure.num_leaves), structure)))


def weights(program: ExportedProgram) -> tuple[Weight, ...]:
    """The weights of all convolutions, linear and recurrent layers, each once, in the order of use.
    Biases are left out.

    A weight behind quantize and dequantize nodes is given as the int8 values it becomes, whether
    they are folded or not."""
    by_placeholder: dict[str, Weight] = {}
    for node, argument in _weight_uses(program):
        source: Any = argument
        dequantize, quantize = None, None
        if _is(source, "dequantize_per_"):
            source, dequantize = source.args[0], source
        if isinstance(source, fx.Node) and _is(source, "quantize_per_"):
            source, quantize = source.args[0], source
        if (
            not isinstance(source, fx.Node)
            or source.op != "placeholder"
            or source.name in by_placeholder
        ):
            continue
        name, values = _constant(program, source)
        if values is None or values.ndim < 2:
            continue
        if quantize is not None:
            values = quantize.target(values, *_resolved(program, quantize.args[1:]))
        scale = (
            None
            if dequantize is None
            else np.asarray(_resolved(program, dequantize.args[1:2])[0], dtype=np.float32).reshape(
                -1
            )
        )
        by_placeholder[source.name] = Weight(layer_of(node) or name, values.detach().numpy(), scale)
    return tuple(by_placeholder.values())


def _weight_uses(program: ExportedProgram) -> Iterator[tuple[fx.Node, fx.Node]]:
    for node in program.graph.nodes:
        for index in WEIGHT_ARGUMENTS.get(node.target, ()):
            argument = node.args[index]
            for item in argument if isinstance(argument, list | tuple) else (argument,):
                if isinstance(item, fx.Node):
                    yield node, item


def _is(node: fx.Node, kind: str) -> bool:
    return str(node.target).startswith(f"quantized_decomposed.{kind}")


def _resolved(program: ExportedProgram, arguments: Sequence[Any]) -> list[Any]:
    """Arguments with constants in place of the nodes that stand for them."""
    return [
        _constant(program, argument)[1] if isinstance(argument, fx.Node) else argument
        for argument in arguments
    ]


def _constant(program: ExportedProgram, node: fx.Node) -> tuple[str, Tensor | None]:
    signature = program.graph_signature
    for table in (
        signature.inputs_to_parameters,
        signature.inputs_to_buffers,
        signature.inputs_to_lifted_tensor_constants,
    ):
        if node.name in table:
            name = table[node.name]
            value = program.state_dict.get(name, program.constants.get(name))
            return name, value if isinstance(value, Tensor) else None
    return node.name, None
