"""A small U-Net (Ronneberger et al. 2015, arXiv:1505.04597), for segmentation on small devices."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from edgekit.models.built_in import conv_bn_relu


def unet(num_classes: int = 2, in_channels: int = 1, width: int = 16, levels: int = 3) -> nn.Module:
    """`levels` times half the size and twice the channels, and back by transposed convolutions;
    what was seen at each size is joined to what comes back. For images whose sides are multiples
    of 2 ** levels. Returns scores of shape (batch, num_classes, height, width)."""
    return _UNet(num_classes, in_channels, width, levels)


class _UNet(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.stem = _block(in_channels, width)
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), _block(narrow, wide))
            for narrow, wide in pairwise(widths)
        )
        back = list(pairwise(reversed(widths)))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, stride=2) for wide, narrow in back
        )
        self.join = nn.ModuleList(_block(2 * narrow, narrow) for _, narrow in back)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        seen = [self.stem(image)]
        for down in self.down:
            seen.append(down(seen[-1]))
        features = seen.pop()
        for up, join in zip(self.up, self.join, strict=True):
            features = join(torch.cat([up(features), seen.pop()], dim=1))
        scores: Tensor = self.classifier(features)
        return scores


def _block(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(conv_bn_relu(inputs, outputs), conv_bn_relu(outputs, outputs))
