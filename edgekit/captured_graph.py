"""Graphs that torch.export makes of models. Owns the capture with a free batch size, what the
graph's nodes belong to, and the switch of dropout and batch norm between training and inference.
Knows nothing of quantization.

A graph is captured in eval mode, and the switch changes the `training` argument of its operators.
Exporting in train mode instead would keep what only training has (stochastic depth, auxiliary
heads, step counters of batch norm) for ever in the graph."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.fx import GraphModule, Node

from edgekit.errors import ModelError

MAX_BATCH = 1024
"""The largest batch a captured graph takes; the smallest is 1."""

aten = torch.ops.aten
WEIGHT_ARGUMENTS = {
    aten.conv1d.default: (1,),
    aten.conv1d.padding: (1,),
    aten.conv2d.default: (1,),
    aten.conv2d.padding: (1,),
    aten.conv3d.default: (1,),
    aten.conv_transpose1d.default: (1,),
    aten.conv_transpose2d.input: (1,),
    aten.linear.default: (1,),
    aten.lstm.input: (2,),
    aten.gru.input: (2,),
    aten.lstm_cell.default: (2, 3),
    aten.gru_cell.default: (2, 3),
    aten.rnn_tanh.input: (2,),
    aten.rnn_relu.input: (2,),
    aten.rnn_tanh_cell.default: (2, 3),
    aten.rnn_relu_cell.default: (2, 3),
}
"""Layers that carry weights, and which argument they are in. Recurrent layers take a list that also
holds biases."""

BATCH_NORM = torch.ops.aten.batch_norm.default
DROPOUT = (torch.ops.aten.dropout.default, torch.ops.aten.dropout_.default)


@contextlib.contextmanager
def unfused_attention() -> Iterator[None]:
    """Within it, nn.MultiheadAttention and nn.TransformerEncoderLayer compute by their parts. In
    eval mode without gradients they would run as one operator, which no backend has a kernel for
    and whose products are not counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def capture(model: nn.Module, example: Mapping[str, Tensor]) -> GraphModule:
    """The graph of a copy of the model, for any batch from 1 to MAX_BATCH; `example` is a batch by
    input name. Parameters keep their names.

    Raises ModelError when torch.export cannot trace the model with a free batch size.
    """
    # A batch of 1 would be taken for a constant.
    batch = tuple(
        values if len(values) > 1 else torch.cat([values, values]) for values in example.values()
    )
    samples = Dim("batch", min=1, max=MAX_BATCH)
    try:
        with unfused_attention(), warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=r"The tensor attributes .* were assigned during export"
            )  # nn.LSTM's own list of weights
            program = torch.export.export(
                copy.deepcopy(model).eval(),
                batch,
                dynamic_shapes=tuple({0: samples} for _ in batch),
            )
    except Exception as error:  # whatever the tracer stumbles over in the user's forward
        reason = next(
            (line for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        hint = (
            "the forward may not branch on values, nor fix the batch size; torch.export.export"
            " shows where"
        )
        raise ModelError(
            f"torch.export cannot capture the model: {reason.strip()}", hint=hint
        ) from None
    graph = program.module()
    assert isinstance(graph, GraphModule)
    return graph


def layer_of(node: Node) -> str:
    """The dotted name of the innermost module whose forward made this node; "" for the model's
    own."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def argument(node: Node, index: int) -> Any:
    """A positional argument of a node: another node, or a value. None where the node has fewer."""
    return node.args[index] if index < len(node.args) else None


def tensor_of(graph: GraphModule, node: Node) -> Tensor:
    """The parameter or buffer that a `get_attr` node reads."""
    return tensor_named(graph, str(node.target))


def tensor_named(model: nn.Module, name: str) -> Tensor:
    """A parameter or buffer by its dotted name."""
    owner, _, key = name.rpartition(".")
    tensor = getattr(model.get_submodule(owner), key)
    assert isinstance(tensor, Tensor)
    return tensor


def batch_norms(graph: GraphModule) -> list[Node]:
    """The batch-norm nodes that keep running statistics, which are their arguments 3 and 4."""
    return [
        node
        for node in graph.graph.nodes
        if node.target is BATCH_NORM and argument(node, 4) is not None
    ]


def set_training(graph: GraphModule, *, dropout: bool, batch_norm: bool) -> None:
    """Let dropout drop or not, and batch norm use the statistics of the batch (and gather them) or
    the gathered ones."""
    for node in graph.graph.nodes:
        if node.target in DROPOUT:
            node.args = (*node.args[:2], dropout)
    for node in batch_norms(graph):
        node.args = (*node.args[:5], batch_norm, *node.args[6:])
    graph.recompile()
