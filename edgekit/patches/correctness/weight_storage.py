"""Smaller weights in XNNPACK's part of a `.pte`, with everything else in float32: half precision,
or int8 with one scale per output channel.

XNNPACK computes float32 convolutions and fully connected layers from float16 filters, and fully
connected layers from int8 filters (it converts them when it packs them at load, or in the kernel),
so such a file is half or a quarter of the size, as fast as float32, and needs no half-precision
arithmetic on the CPU. ExecuTorch's serializer has no switch for it: it writes a float32 filter for
every float convolution. This module makes it write the others while a context is open. Whether the
hooks took effect is proved on the finished file (export/proof.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import torch
from executorch.backends.xnnpack.operators import node_visitor
from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor
from executorch.backends.xnnpack.operators.quant_params import QuantParams
from executorch.backends.xnnpack.serialization.xnnpack_graph_schema import XNNDatatype
from executorch.backends.xnnpack.utils.utils import get_param_tensor, is_param_node
from torch import Tensor, fx
from torch.export import ExportedProgram

from edgekit.captured_graph import layer_of
from edgekit.patches.replacing import replaced

VERSIONS = {"executorch": "1.5.1"}
"""The version whose serializer the hooks were written for. With another one they are still set: the
proof on the finished file says whether they work there."""


class Storage(Enum):
    FLOAT16 = "float16"
    INT8 = "int8"


@contextlib.contextmanager
def weight_storage(storage: Storage, float_layers: frozenset[str]) -> Iterator[None]:
    """Serialize the weights of float layers as `storage`, except those of the layers named in
    `float_layers`, while the context is open.

    `int8` is for linear layers without bias (see `separate_bias.py`); convolutions stay float32.
    """
    hooks: dict[str, Callable[..., Any]] = (
        _int8_hooks(float_layers) if storage is Storage.INT8 else _float16_hooks(float_layers)
    )
    with contextlib.ExitStack() as stack:
        for name, hook in hooks.items():
            stack.enter_context(replaced(NodeVisitor, name, hook))
        yield


def _is_weight(
    program: ExportedProgram, node: fx.Node, layers: tuple[str, ...], float_layers: frozenset[str]
) -> bool:
    """Whether a constant is the weight, and nothing else, of one of these kinds of layers."""
    if not is_param_node(program, node) or node.meta["val"].dtype != torch.float32:
        return False
    return bool(node.users) and all(
        getattr(user.target, "__name__", "") in layers
        and user.args[1] is node
        and layer_of(user) not in float_layers
        for user in node.users
    )


def _without_bias(weight: fx.Node) -> bool:
    return all(len(user.args) < 3 or user.args[2] is None for user in weight.users)


def _int8_hooks(float_layers: frozenset[str]) -> dict[str, Callable[..., Any]]:
    plain = NodeVisitor.define_tensor

    def define_tensor(
        self: Any,
        tensor: fx.Node,
        *args: Any,
        quant_params: QuantParams | None = None,
        **options: Any,
    ) -> None:
        if (
            quant_params is None
            and _is_weight(self.exported_program, tensor, ("aten.linear.default",), float_layers)
            and _without_bias(tensor)
        ):
            quant_params = _per_channel(tensor, get_param_tensor(self.exported_program, tensor))
        plain(self, tensor, *args, quant_params=quant_params, **options)

    return {"define_tensor": define_tensor}


def _per_channel(node: fx.Node, weight: Tensor | None) -> QuantParams:
    """Symmetric int8 with one scale per output: the largest magnitude becomes 127."""
    assert weight is not None
    scale = weight.detach().abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).eps) / 127
    zero_point = torch.zeros(len(scale), dtype=torch.int64)
    return QuantParams(
        True,
        node,
        scale,
        zero_point,
        axis=0,
        dtype=torch.int8,
        qmax=127,
        qmin=-127,
        is_output=False,
        is_input=False,
    )


def _float16_hooks(float_layers: frozenset[str]) -> dict[str, Callable[..., Any]]:
    layers = ("aten.linear.default", "aten.convolution.default")
    plain_dtype, plain_buffer = (
        NodeVisitor.get_serialized_dtype,
        NodeVisitor.get_serialized_buffer_index,
    )

    def get_serialized_dtype(
        self: Any, quant_params: QuantParams | None, node: fx.Node, force_fp32: bool = False
    ) -> XNNDatatype:
        if quant_params is None and _is_weight(self.exported_program, node, layers, float_layers):
            return XNNDatatype.xnn_datatype_fp16
        return plain_dtype(self, quant_params, node, force_fp32=force_fp32)

    def get_serialized_buffer_index(
        self: Any,
        tensor: fx.Node,
        graph: Any,
        ids: Any,
        nhwc: bool,
        swap: bool,
        quant_params: Any,
        force_fp32: bool = False,
        groups: int = 1,
    ) -> int:
        if quant_params is not None or not _is_weight(
            self.exported_program, tensor, layers, float_layers
        ):
            return plain_buffer(
                self, tensor, graph, ids, nhwc, swap, quant_params, force_fp32, groups
            )
        with replaced(node_visitor, "get_param_tensor", _half_parameter):
            return plain_buffer(self, tensor, graph, ids, nhwc, swap, None, False, groups)

    return {
        "get_serialized_dtype": get_serialized_dtype,
        "get_serialized_buffer_index": get_serialized_buffer_index,
    }


def _half_parameter(program: ExportedProgram, node: fx.Node) -> Tensor | None:
    value = get_param_tensor(program, node)
    return None if value is None else value.half()
