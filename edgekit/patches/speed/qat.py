"""The conv-bn work of torchao's QAT prepare and convert without its waste. Owns three substitutions
inside torchao, made for the duration of `fast_patterns()` and only for the versions they were
proven equal on; with any other version the plain path runs. Decides nothing about numbers.

torchao finds conv-bn pairs by tracing each pattern anew (24 times to prepare, 96 times to convert a
graph) for every kind of convolution there is, and matching each one. Here a pattern is traced once
per process, without dynamo; a kind of convolution that the graph does not have is skipped; and a
pattern is not matched against a graph that lacks one of its operators."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import executorch.backends.xnnpack.quantizer.xnnpack_quantizer_utils as annotators
import torch
from torch import Tensor
from torch.fx import GraphModule
from torchao.quantization.pt2e import qat_utils

from edgekit.patches.replacing import are_installed, replaced

VERSIONS = {"torchao": "0.18.0", "executorch": "1.5.1"}
"""The versions whose private functions are known here. Moving one of them means running the
equality test first."""

_lock = threading.RLock()
_traced: dict[Hashable, GraphModule] = {}


def usable() -> bool:
    """Whether the installed libraries are those the fast path was proven equal on."""
    return are_installed(VERSIONS)


@contextlib.contextmanager
def fast_patterns() -> Iterator[None]:
    """Within this context torchao prepares and converts QAT graphs faster, with equal results. A
    second thread waits for the first."""
    if not usable():
        yield
        return
    with _lock, contextlib.ExitStack() as stack:
        for module, name, faster in (
            (qat_utils, "_get_aten_graph_module_for_pattern", _trace_once),
            (annotators, "_get_aten_graph_module_for_pattern", _trace_once),
            (qat_utils, "replace_pattern_with_filters", _replace_present),
            (qat_utils, "_fuse_conv_bn_qat_helper", _skip_absent),
            (qat_utils, "_fold_conv_bn_qat_helper", _skip_absent),
        ):
            plain = getattr(module, name)
            stack.enter_context(replaced(module, name, functools.partial(faster, plain)))
        yield


def _trace_once(
    trace: Callable, pattern: Any, example_inputs: tuple, is_cuda: bool = False, **kwargs: Any
) -> GraphModule:
    """The traced pattern, from memory when an equal one was traced before. A copy, because callers
    change it."""
    key = _pattern_key(pattern, example_inputs, is_cuda, kwargs)
    if key not in _traced:
        _traced[key] = _without_dynamo(trace, pattern, example_inputs, is_cuda, **kwargs)
    return copy.deepcopy(_traced[key])


def _pattern_key(
    pattern: Any, example_inputs: tuple, is_cuda: bool, kwargs: dict[str, Any]
) -> Hashable:
    """What a pattern's graph follows from: its code, the values it closes over, and the shapes of
    its inputs."""
    function = pattern.fn
    closed_over = tuple(cell.cell_contents for cell in function.__closure__ or ())
    inputs = tuple(_signature(value) for value in example_inputs)
    return (
        function.__code__,
        closed_over,
        inputs,
        is_cuda,
        tuple((name, _signature(value)) for name, value in sorted(kwargs.items())),
    )


def _signature(value: Any) -> Hashable:
    return (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else value


def _without_dynamo(trace: Callable, *arguments: Any, **kwargs: Any) -> GraphModule:
    """torchao asks torch.export for a strict trace; the plain one gives the same graph of these
    straight-line patterns in a third of the time."""
    export = torch.export.export

    def plain(*arguments: Any, **kwargs: Any) -> Any:
        return export(*arguments, **{**kwargs, "strict": False})

    with replaced(torch.export, "export", plain):
        return trace(*arguments, **kwargs)


def _skip_absent(
    rewrite: Callable, graph: GraphModule, conv_fn: Callable, example_inputs: tuple, is_cuda: bool
) -> GraphModule:
    """Rewrite the pairs of one kind of convolution, unless the graph has none of that kind."""
    kinds = {
        node.target._schema.name
        for node in graph.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
    }
    if f"aten::{conv_fn.__name__}" in kinds:
        return rewrite(graph, conv_fn, example_inputs, is_cuda=is_cuda)
    graph.delete_all_unused_submodules()  # as a rewrite that matches nothing does
    return graph


def _replace_present(
    replace: Callable, graph: GraphModule, pattern: GraphModule, *arguments: Any, **kwargs: Any
) -> list:
    """Match a pattern, unless it has an operator that the graph lacks."""
    if _operators(pattern) <= _operators(graph):
        return replace(graph, pattern, *arguments, **kwargs)
    graph.delete_all_unused_submodules()
    return []


def _operators(graph: GraphModule) -> set[Any]:
    return {node.target for node in graph.graph.nodes if node.op == "call_function"}
