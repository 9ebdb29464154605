"""Running a network to see where its channels go (channel_flow.py), and whether those of a pruned
one go the same ways. What each operator does to channels is channel_rules.py's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgekit.captured_graph import unfused_attention
from edgekit.compress.prune.channel_flow import OUTPUT, Flow, Tracer
from edgekit.compress.prune.channel_rules import follow
from edgekit.compress.prune.ties import ChannelsDiffer, Ties
from edgekit.models.calling import Inputs, call, evaluating


def trace_channels(model: nn.Module, example: Inputs) -> Flow:
    """Run a model on a batch by input name. What the model raises passes through."""
    return _traced(model, example, Tracer(model, Ties(), None))


def require_same_flow(model: nn.Module, example: Inputs, flow: Flow) -> None:
    """Whether the channels of a pruned model go where `flow`, that of the whole one without the
    removed channels, says. Raises ChannelsDiffer, and whatever the model raises."""
    expected = {place: flow.ties.heads(axis.channels) for place, axis in flow.axes.items()}
    flow.ties.closed = True
    try:
        traced = _traced(model, example, Tracer(model, flow.ties, expected))
    finally:
        flow.ties.closed = False
    if traced.outputs != flow.outputs:
        raise ChannelsDiffer


def _traced(model: nn.Module, example: Inputs, tracer: Tracer) -> Flow:
    # The numbers of a fast path would hide what it computes.
    with evaluating(model), torch.no_grad(), unfused_attention(), _Run(tracer):
        outputs = call(model, example)
    for output in outputs.values():
        tracer.fix(output, OUTPUT)
    return Flow(
        tracer.axes,
        tuple(tracer.sources),
        tracer.ties,
        tracer.fixed,
        tuple(tracer.splits),
        {name: output.shape for name, output in outputs.items()},
    )


class _Run(TorchDispatchMode):
    """Sees each operator that torch runs in the end."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        follow(self.tracer, func, args, kwargs or {}, result)
        return result
