"""How a detector learns: which anchors stand for which objects, and the loss of boxes and scores.
Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou, sigmoid_focal_loss

LEAST_OVERLAP = 0.5
NEGATIVES = 3
"""Anchors without an object that count, for each with one."""


def detection_loss(
    deltas: Tensor,
    scores: Tensor,
    targets: Tensor,
    *,
    anchors: NDArray[np.float64],
    weights: Sequence[float],
    background: bool,
) -> Tensor:
    """The loss of a batch, over the number of anchors that stand for an object.

    Boxes: smooth L1. Scores with a background class: cross entropy, of the anchors without an
    object only of the three times as many that are the most wrong (Liu et al. 2016, SSD,
    arXiv:1512.02325, §2.2). Without: the focal loss (Lin et al. 2017, arXiv:1708.02002).

    Args:
        deltas: How boxes differ from their anchors, of shape (batch, anchors, 4).
        scores: Logits of shape (batch, anchors, classes).
        targets: Of shape (batch, rows, 5), see edgekit.tasks.detection.
        anchors: Of shape (anchors, 4).
        weights: Of the four numbers of a box.
        background: Whether the first class is that there is nothing.
    """
    boxes = torch.as_tensor(anchors, dtype=deltas.dtype, device=deltas.device)
    losses = [
        _image_loss(*image, boxes, deltas.new_tensor(weights), background)
        for image in zip(deltas, scores, targets, strict=True)
    ]
    positives = sum(int(count) for _, count in losses)
    return torch.stack([loss for loss, _ in losses]).sum() / max(1, positives)


def _image_loss(
    deltas: Tensor,
    scores: Tensor,
    targets: Tensor,
    anchors: Tensor,
    weights: Tensor,
    background: bool,
) -> tuple[Tensor, Tensor]:
    """The summed loss of an image, and how many anchors stand for an object."""
    objects = targets[targets[:, 0] >= 0].to(deltas.dtype)
    assigned = _assigned(anchors, objects[:, 1:])
    positive = assigned >= 0
    chosen = objects[assigned[positive]]
    deltas_to_learn = _encoded(chosen[:, 1:], anchors[positive]) * weights
    loss = functional.smooth_l1_loss(deltas[positive], deltas_to_learn, reduction="sum")
    if not background:
        labels = torch.zeros_like(scores)
        labels[positive, chosen[:, 0].long()] = 1
        return loss + sigmoid_focal_loss(scores, labels, reduction="sum"), positive.sum()
    classes = torch.zeros(len(anchors), dtype=torch.int64, device=scores.device)
    classes[positive] = chosen[:, 0].long() + 1
    wrong = functional.cross_entropy(scores, classes, reduction="none")
    # An image without objects teaches what is none by its most wrong anchors.
    count = min(int((~positive).sum()), NEGATIVES * max(1, int(positive.sum())))
    hardest = wrong[~positive].topk(count).values
    return loss + wrong[positive].sum() + hardest.sum(), positive.sum()


def _assigned(anchors: Tensor, boxes: Tensor) -> Tensor:
    """For each anchor the box it stands for, or −1: the one that it overlaps most, from one half
    on; and each box's best anchor stands for it in any case."""
    if len(boxes) == 0:
        return torch.full((len(anchors),), -1, device=anchors.device)
    shares = box_iou(anchors, boxes)
    most, assigned = shares.max(dim=1)
    assigned = torch.where(most >= LEAST_OVERLAP, assigned, -1)
    assigned[shares.argmax(dim=0)] = torch.arange(len(boxes), device=anchors.device)
    return assigned


def _encoded(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of boxes_of in edgekit.sample_steps.decoding.boxes, without the weights."""
    sizes, box_sizes = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + boxes[:, 2:] - anchors[:, :2] - anchors[:, 2:]) / 2 / sizes
    return torch.cat([shift, (box_sizes / sizes).log()], dim=1)
