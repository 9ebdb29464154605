"""What a prepared graph has learned, out of it and into another one. Owns names and shapes; how it
is written to disk is checkpoint.py's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit.errors import ModelError
from edgekit.models.state import require_tensors


def graph_state(graph: nn.Module) -> dict[str, Tensor]:
    """Everything that a prepared graph or an eager model has learned, by name: parameters,
    statistics, observers and switches. Raises ModelError for state that is no tensor."""
    state = graph.state_dict()
    require_tensors(state)
    return {name: tensor.detach() for name, tensor in state.items()}


def load_graph_state(graph: GraphModule, state: Mapping[str, Tensor]) -> None:
    """Restore, bit for bit, what `graph_state` gave, into a graph prepared alike from a model built
    alike.

    Raises ModelError when names differ, or the shape of a parameter does.
    """
    own = graph.state_dict()
    differing = sorted(own.keys() ^ state.keys())
    differing += [
        name
        for name, parameter in graph.named_parameters()
        if name in state and parameter.shape != state[name].shape
    ]
    if differing:
        raise ModelError(
            f"the saved graph state does not fit: {', '.join(differing[:5])}",
            hint="it belongs to another model or quantization",
        )
    for name, tensor in state.items():
        owner, _, key = name.rpartition(".")
        module = graph.get_submodule(owner)
        if key in module._parameters:
            own[name].copy_(tensor)
        else:
            # Observers change shape as they learn, and their own loading does not keep up.
            module._buffers[key] = tensor.to(own[name].device, copy=True)
