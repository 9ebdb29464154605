"""Batch norm in graphs that train with fake quantization. Owns what torchao 0.18 gets wrong about
it: its patterns replace epsilon and momentum by their defaults, and its folding uses an epsilon of
its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.utils import (
    _is_conv_or_conv_transpose_node,
    fold_bn_weights_into_conv_node,
)

from edgekit.captured_graph import argument, batch_norms, layer_of, tensor_of
from edgekit.compress.patterns import matches

TORCHAO_EPS = 1e-5
"""The batch-norm epsilon that is fixed in torchao's QAT patterns."""


def fold_batch_norm(graph: GraphModule, layers: Sequence[str]) -> None:
    """Fold the batch norm after the convolutions of some layers: torchao would leave its QAT
    arithmetic around them for ever."""
    for node in list(batch_norms(graph)):
        conv = argument(node, 0)
        if (
            matches(layer_of(conv), layers)
            and _is_conv_or_conv_transpose_node(conv)
            and len(conv.users) == 1
        ):
            fold_bn_weights_into_conv_node(conv, argument(conv, 1), argument(conv, 2), node, graph)
    graph.recompile()


def restore_batch_norm(graph: GraphModule, settings: Mapping[str, tuple[Any, ...]]) -> None:
    """Give the batch norms of a prepared graph their own momentum and epsilon back, which torchao's
    patterns replace by the defaults."""
    for node in batch_norms(graph):
        momentum, eps = settings[running_variance(node)]
        node.args = (*node.args[:6], momentum, eps, *node.args[8:])
    for norm, plus_eps in _fused(graph):
        plus_eps.args = (argument(plus_eps, 0), argument(norm, 7))
    graph.recompile()


def shift_running_variance(graph: GraphModule) -> None:
    """Make torchao fold batch norm with the graph's epsilon instead of its own: variance + own +
    (epsilon − own) is the same number."""
    for norm, _ in _fused(graph):
        owner, _, key = running_variance(norm).rpartition(".")
        graph.get_submodule(owner)._buffers[key] = tensor_of(graph, argument(norm, 4)) + (
            argument(norm, 7) - TORCHAO_EPS
        )


def _fused(graph: GraphModule) -> list[tuple[Node, Node]]:
    """Batch norms fused with a convolution by torchao's QAT pattern: the batch-norm node, and the
    node that adds epsilon to its running variance."""
    return [
        (node, user)
        for node in batch_norms(graph)
        for user in argument(node, 4).users
        if user.target is torch.ops.aten.add.Tensor
    ]


def running_variance(norm: Node) -> str:
    """The name of a batch norm's running variance, which torchao's rewriting leaves as it is."""
    return str(argument(norm, 4).target)
