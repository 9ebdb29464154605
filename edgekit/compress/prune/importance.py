"""How much a channel is worth: torch-pruning's estimators, and the gradients that one of them
needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn

from edgekit.compress.counting import evaluating
from edgekit.errors import ModelError

Importance = Literal["magnitude", "taylor", "lamp", "bn_scale", "random"]
LossBatches = Callable[[nn.Module], Iterable[Tensor]]

IMPORTANCES = {
    "magnitude": tp.importance.GroupMagnitudeImportance,
    "taylor": tp.importance.GroupTaylorImportance,
    "lamp": tp.importance.LAMPImportance,
    "bn_scale": tp.importance.BNScaleImportance,
    "random": tp.importance.RandomImportance,
}


def ranking(
    model: nn.Module, importance: Importance, loss_batches: LossBatches | None
) -> Callable[[Any], Tensor | None]:
    """The importance estimator; for `taylor`, with the model's gradients accumulated (Molchanov et
    al. 2019)."""
    if importance not in IMPORTANCES:
        raise ModelError(
            f"there is no importance {importance!r}", hint=f"choose one of {', '.join(IMPORTANCES)}"
        )
    if importance == "taylor":
        _accumulate_gradients(model, loss_batches)
    return IMPORTANCES[importance]()


def _accumulate_gradients(model: nn.Module, loss_batches: LossBatches | None) -> None:
    if loss_batches is None:
        raise ModelError(
            "importance taylor needs losses to differentiate", hint="use importance: magnitude"
        )
    model.zero_grad(set_to_none=True)
    with evaluating(model), torch.enable_grad():
        for loss in loss_batches(model):
            loss.backward()
    if not any(parameter.grad is not None for parameter in model.parameters()):
        raise ModelError(
            "importance taylor got no batch of labelled samples",
            hint="use importance: magnitude",
        )
