"""Showing samples to the observers of a prepared graph, and what they have seen. Owns the errors of
samples that do not fit or do not compute."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import FakeQuantizeBase, ObserverBase, PlaceholderObserver

from edgekit.captured_graph import argument, layer_of
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, batch_size, call
from edgekit.prose import first_line
from edgekit.states import STATELESS, States

MASK = (
    "give an attention mask a finite value a little below all scores, such as -30 (not -1e4: the"
    " scores share its range), or list the layer in keep_float; otherwise check the weights"
)


def calibrate(graph: GraphModule, batches: Iterable[Inputs], states: States = STATELESS) -> None:
    """Show batches, by input name, to the observers of a graph from `prepare_ptq`: of a model with
    states, series, at each step with the states that it has there.

    Raises ModelError: no batch at all; one of the wrong shape; NaN or infinity in an activation,
    naming the layer that makes it."""
    shown = 0
    with _finite(graph), torch.no_grad():
        for batch in batches:
            if batch_size(batch):
                _show(graph, batch, states)
                shown += batch_size(batch)
    if not shown:
        raise ModelError(
            "the calibration set is empty", hint="raise calibration_samples, or look at the dataset"
        )


def require_finite(graph: GraphModule, example: Inputs) -> None:
    """Run a prepared graph on a batch. Raises ModelError as `calibrate` does."""
    with _finite(graph), torch.no_grad():
        call(graph, example)


def observed_layers(graph: GraphModule) -> list[tuple[nn.Module, str]]:
    """The observers and fake quantizers of a graph, each once, with the layer or parameter whose
    result it watches."""
    observed: dict[int, tuple[nn.Module, str]] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            module = graph.get_submodule(str(node.target))
            if isinstance(module, ObserverBase | FakeQuantizeBase):
                source = argument(node, 0)
                observed.setdefault(
                    id(module),
                    (
                        module,
                        (
                            str(source.target)
                            if source.op == "get_attr"
                            else layer_of(source) or source.name
                        ),
                    ),
                )
    return list(observed.values())


def has_seen(module: nn.Module) -> bool:
    observer: Any = (
        module.activation_post_process if isinstance(module, FakeQuantizeBase) else module
    )
    return isinstance(observer, PlaceholderObserver) or bool(
        observer.min_val.numel() and torch.isfinite(observer.min_val).all()
    )


def _show(graph: GraphModule, batch: Inputs, states: States) -> None:
    try:
        call(graph, batch, states)
    except (RuntimeError, AssertionError) as error:
        shapes = " and ".join(str(tuple(values.shape)) for values in batch.values())
        raise ModelError(
            f"a calibration batch of shape {shapes} does not fit the model: {first_line(error)}",
            hint="check input.shape",
        ) from None


@contextlib.contextmanager
def _finite(graph: GraphModule) -> Iterator[None]:
    """Within it, NaN or infinity at an observer is an error that names the layer."""
    hooks = [
        module.register_forward_pre_hook(_refuse_nonfinite(layer))
        for module, layer in observed_layers(graph)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _refuse_nonfinite(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0]
        if torch.isfinite(values).all():
            return
        if values.isnan().any():
            raise ModelError(
                f"NaN at {layer} during calibration",
                hint="check the weights, input.mean and input.std",
            )
        raise ModelError(
            f"infinity at {layer} during calibration: int8 has none",
            hint=MASK if (values == -math.inf).any() else "check the weights, mean and std",
        )

    return hook
