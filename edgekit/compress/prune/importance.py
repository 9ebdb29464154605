"""How much a channel is worth, and the gradients that one estimate needs. The scores are those of
torch-pruning's group importances (Fang et al. 2023, arXiv:2301.12900): what all layers of a group
say of a channel is added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edgekit.compress.prune.channel_flow import Flow
from edgekit.compress.prune.dependencies import CHANNEL_MAKERS, ChannelGroup
from edgekit.compress.prune.weight_cutting import is_depthwise
from edgekit.errors import ModelError
from edgekit.models.calling import evaluating

Importance = Literal["magnitude", "taylor", "lamp", "bn_scale", "random"]
LossBatches = Callable[[nn.Module], Iterable[Tensor]]

BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)
WITH_SCALES = (*CHANNEL_MAKERS, *BATCH_NORMS, nn.LayerNorm)


@dataclass(frozen=True)
class Estimate:
    """`worth` of each value of a weight, added up for a channel over the weights of `layers`."""

    layers: tuple[type[nn.Module], ...]
    worth: Callable[[nn.Parameter], Tensor]
    normalised: Callable[[Tensor], Tensor]


def _squared(weight: nn.Parameter) -> Tensor:
    return weight.detach().square()


def _absolute(weight: nn.Parameter) -> Tensor:
    return weight.detach().abs()


def _first_order(weight: nn.Parameter) -> Tensor:
    """Molchanov et al. 2019."""
    if weight.grad is None:
        return torch.zeros_like(weight)
    return (weight.detach() * weight.grad).abs()


def _by_mean(scores: Tensor) -> Tensor:
    return scores / scores.mean()


def _by_what_is_left(scores: Tensor) -> Tensor:
    """LAMP, Lee et al. 2021, arXiv:2010.07611: a score against the sum of all that are no
    smaller."""
    ordered, places = scores.sort()
    before = ordered.cumsum(0) - ordered
    result = torch.empty_like(scores)
    result[places] = ordered / (scores.sum() - before)
    return result


ESTIMATES = {
    "magnitude": Estimate(WITH_SCALES, _squared, _by_mean),
    "taylor": Estimate(WITH_SCALES, _first_order, _by_mean),
    "lamp": Estimate(WITH_SCALES, _squared, _by_what_is_left),
    "bn_scale": Estimate(BATCH_NORMS, _absolute, _by_mean),
}
RANDOM = "random"


def group_scores(
    model: nn.Module,
    flow: Flow,
    groups: Sequence[ChannelGroup],
    importance: Importance,
    loss_batches: LossBatches | None,
) -> list[Tensor | None]:
    """The scores of each group's choices; None for a group that the importance does not rank."""
    if importance == RANDOM:
        return [torch.rand(len(group.heads)) for group in groups]
    if importance not in ESTIMATES:
        raise ModelError(
            f"there is no importance {importance!r}",
            hint=f"choose one of {', '.join([*ESTIMATES, RANDOM])}",
        )
    if importance == "taylor":
        _accumulate_gradients(model, loss_batches)
    estimate = ESTIMATES[importance]
    sums = _sums(model, flow, estimate)
    model.zero_grad(set_to_none=True)
    scores: list[Tensor | None] = []
    for group in groups:
        if not all(head in sums for head in group.heads):
            scores.append(None)
            continue
        # A group without any signal (weights or gradients all zero) is divided by its zero mean.
        summed = torch.tensor([sums[head] for head in group.heads])
        scores.append(torch.nan_to_num(estimate.normalised(summed)))
    return scores


def _sums(model: nn.Module, flow: Flow, estimate: Estimate) -> dict[int, float]:
    """What all layers say of a channel, by its head."""
    sums: dict[int, float] = {}
    for (name, axis), entry in flow.axes.items():
        owner, _, key = name.rpartition(".")
        layer = model.get_submodule(owner)
        # A depthwise convolution filters what others have made.
        if key != "weight" or not isinstance(layer, estimate.layers) or is_depthwise(layer):
            continue
        values = estimate.worth(layer.get_parameter(key)).float()
        by_index = values.movedim(axis, 0).reshape(values.shape[axis], -1).sum(1)
        heads = flow.ties.heads(entry.channels).tolist()
        for head, value in zip(heads, by_index.tolist(), strict=True):
            sums[head] = sums.get(head, 0.0) + value
    return sums


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
