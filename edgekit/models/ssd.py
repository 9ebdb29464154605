"""A small single-shot detector (Liu et al. 2016, SSD, arXiv:1512.02325) with the separable heads of
SSDLite (Sandler et al. 2018, arXiv:1801.04381, §6.2), for the task `detection`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.models.built_in import mobilenet_v2_small

FINE = 14
"""MobileNetV2's first blocks up to here give the fine map; those up to COARSE the coarse one."""
COARSE = 18


def ssd_mobilenet_v2(
    num_classes: int = 10,
    in_channels: int = 1,
    width_mult: float = 0.35,
    anchors: Sequence[int] = (3, 3),
) -> nn.Module:
    """Boxes from two feature maps of a MobileNetV2, at an eighth and a sixteenth of the image's
    size, with as many `anchors` in each cell of a map as given.

    Returns `boxes` of shape (batch, all anchors, 4) and `scores`, logits of shape (batch, all
    anchors, 1 + num_classes) whose first class is that there is nothing. Anchors go map by map, row
    by row, and those of a cell one after the other, as edgekit.tasks.detection takes them."""
    return _Ssd(num_classes, in_channels, width_mult, tuple(anchors))


class _Ssd(nn.Module):
    def __init__(
        self, num_classes: int, in_channels: int, width_mult: float, anchors: tuple[int, ...]
    ) -> None:
        super().__init__()
        backbone = mobilenet_v2_small(
            in_channels=in_channels, width_mult=width_mult, strides=(1, 2, 2, 1, 1, 2, 1)
        )
        blocks = list(backbone.get_submodule("features").children())
        self.fine = nn.Sequential(*blocks[:FINE])
        self.coarse = nn.Sequential(*blocks[FINE:COARSE])
        widths = (_width(self.fine), _width(self.coarse))
        self.classes = 1 + num_classes
        self.boxes = nn.ModuleList(
            _head(width, 4 * count) for width, count in zip(widths, anchors, strict=True)
        )
        self.scores = nn.ModuleList(
            _head(width, self.classes * count) for width, count in zip(widths, anchors, strict=True)
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        fine = self.fine(image)
        maps = (fine, self.coarse(fine))
        boxes = [_by_anchor(head(each), 4) for head, each in zip(self.boxes, maps, strict=True)]
        scores = [
            _by_anchor(head(each), self.classes)
            for head, each in zip(self.scores, maps, strict=True)
        ]
        return {"boxes": torch.cat(boxes, dim=1), "scores": torch.cat(scores, dim=1)}


def _width(blocks: nn.Module) -> int:
    """The channels of what the last of MobileNetV2's blocks returns."""
    *_, last = (layer for layer in blocks.modules() if isinstance(layer, nn.Conv2d))
    return last.out_channels


def _head(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1),
    )


def _by_anchor(values: Tensor, columns: int) -> Tensor:
    """(batch, anchors · columns, rows, cells) as (batch, rows · cells · anchors, columns)."""
    return values.permute(0, 2, 3, 1).reshape(values.shape[0], -1, columns)
