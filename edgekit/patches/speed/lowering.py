"""Lowering in less time, with the same bytes. Owns the shortcuts through executorch 1.5.1,
litert-torch 0.10 and torch 2.14.

Most of the time of lowering goes into tracing the whole graph again and again. What is saved:

- XNNPACK's preprocessing runs 17 passes, and each traces the graph anew even where it changes
  nothing. A pass is left out when there is nothing in the graph that it acts on (`PASS_OPERATORS`,
  `_has_work`).
- `to_edge_transform_and_lower` decomposes three times: to make the program functional, with the
  table, and with the table again. The first is left to the second, which does both, and the third
  is left out when no operator of the graph is in its table.
- Each trace copies the history of every node (`from_node`), which grows with each trace. Histories
  are shared instead: nothing changes them.
- litert-torch traces the model itself. It is given the program that edgekit has traced to know its
  weights.

With other versions of these libraries their own, slower way is taken. That the bytes are equal is
tested on networks with every kind of operator named here."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.fx import traceback

from edgekit.patches.replacing import are_installed, replaced

VERSIONS = {"torch": "2.14.1", "executorch": "1.5.1", "litert-torch": "0.10.0"}

PASS_OPERATORS: Mapping[str, frozenset[str]] = {
    "XNNPACKRemoveCloneOpsTransform": frozenset(
        {"aten.clone.default", "dim_order_ops._clone_dim_order.default"}
    ),
    "ConvertToUpsampleBilinear2d": frozenset({"aten.index.Tensor", "aten._unsafe_index.Tensor"}),
    "ConvertToLinearPass": frozenset({"aten.mm.default", "aten.addmm.default", "aten.bmm.default"}),
    "ConvertToSDPAPass": frozenset({"aten._softmax.default", "aten.softmax.int"}),
    "FuseBatchNormPass": frozenset(
        {"aten.native_batch_norm.default", "aten._native_batch_norm_legit_no_training.default"}
    ),
    "DecomposeBatchNorm": frozenset(
        {"aten.native_batch_norm.default", "aten._native_batch_norm_legit_no_training.default"}
    ),
    "FuseActivationPass": frozenset({"aten.relu.default", "aten.hardtanh.default"}),
    "DecomposeConcatenate": frozenset({"aten.cat.default"}),
    "RemoveGetItemPass": frozenset({"aten.max_pool2d_with_indices.default", "aten.max.dim"}),
    "InsertPadQDQPass": frozenset({"aten.constant_pad_nd.default"}),
    "PReLUReshapePass": frozenset({"aten.prelu.default", "aten._prelu_kernel.default"}),
}
"""XNNPACK's passes that only act on certain operators."""


def usable() -> bool:
    """Whether the installed libraries are those the shortcuts were written for."""
    return are_installed(VERSIONS)


@contextlib.contextmanager
def fast_executorch() -> Iterator[None]:
    """Shortcuts for `to_edge_transform_and_lower` and `to_executorch` while the context is open."""
    if not usable():
        yield
        return
    from executorch.backends.xnnpack._passes import XNNPACKPassManager

    with (
        replaced(XNNPACKPassManager, "transform", _transform(XNNPACKPassManager.transform)),
        replaced(
            ExportedProgram,
            "run_decompositions",
            _run_decompositions(ExportedProgram.run_decompositions),
        ),
        replaced(traceback.NodeSource, "__init__", _share_history),
    ):
        yield


@contextlib.contextmanager
def fast_litert(model: nn.Module, program: ExportedProgram) -> Iterator[None]:
    """Shortcuts for `litert_torch.convert(model, …)` while the context is open; `program` is that
    model, traced. The conversion changes it."""
    if not usable():
        yield
        return
    trace = torch.export.export

    def traced(module: nn.Module, *args: Any, **options: Any) -> ExportedProgram:
        return program if module is model else trace(module, *args, **options)

    with (
        replaced(torch.export, "export", traced),
        replaced(traceback.NodeSource, "__init__", _share_history),
    ):
        yield


def _transform(plain: Callable[[Any], ExportedProgram]) -> Callable[[Any], ExportedProgram]:
    def transform(self: Any) -> ExportedProgram:
        """Run the passes one by one, each only if it has work in what the ones before made of the
        graph."""
        passes = self.passes
        program = self._exported_program
        for single_pass in passes:
            if _has_work(single_pass.__name__, program.graph_module.graph):
                self.passes = [single_pass]
                self._exported_program = program
                program = plain(self)
        return program

    return transform


def _has_work(name: str, graph: fx.Graph) -> bool:
    calls = [node for node in graph.nodes if node.op == "call_function"]
    operators = {getattr(node.target, "__name__", str(node.target)) for node in calls}
    if name in PASS_OPERATORS:
        return bool(PASS_OPERATORS[name] & operators)
    match name:
        case "PropagateCustomMetaPass":
            return any("custom" in node.meta for node in graph.nodes)
        case "ConstPropPass":
            return any(not node.all_input_nodes for node in calls) or any(
                node.op == "get_attr" for node in graph.nodes
            )
        case "DimOrderOpsRevertPass":
            return any("dim_order" in operator for operator in operators)
        case "Conv1dUnsqueezePass":
            return any(
                "aten.convolution" in getattr(node.target, "__name__", "")
                and node.args[1].meta["val"].dim() == 3
                for node in calls
            )
    return True


def _run_decompositions(plain: Callable[..., ExportedProgram]) -> Callable[..., ExportedProgram]:
    functional: weakref.WeakSet[ExportedProgram] = weakref.WeakSet()

    def run_decompositions(
        self: ExportedProgram,
        decomp_table: Mapping[Any, Any] | None = None,
        *args: Any,
        **options: Any,
    ) -> ExportedProgram:
        if decomp_table is not None and not decomp_table:
            return self  # what is to become functional is decomposed next, and becomes so then
        if decomp_table is not None and self in functional and not _has_any(self, decomp_table):
            return self
        program = plain(self, decomp_table, *args, **options)
        functional.add(program)
        return program

    return run_decompositions


def _has_any(program: ExportedProgram, table: Mapping[Any, Any]) -> bool:
    graphs = [
        module.graph
        for module in program.graph_module.modules()
        if isinstance(module, fx.GraphModule)
    ]
    return any(
        node.op == "call_function" and node.target in table
        for graph in graphs
        for node in graph.nodes
    )


def _share_history(
    self: Any, node: fx.Node | None, pass_name: str = "", action: Any = None
) -> None:
    """`NodeSource.__init__` without its deep copy."""
    self.pass_name = pass_name
    self.action = action if isinstance(action, list) else [] if action is None else [action]
    self.node_info = (
        None if node is None else self.NodeInfo(node.name, str(node.target), id(node.graph))
    )
    self.from_node = [] if node is None else node.meta.get("from_node", [])
    self._action_string = None
    self._dict = None
