"""A small vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929) of operators that both
runtimes have kernels for: attention is written out, because the fused one is left to slow kernels,
and the MLP has ReLU, which int8 kernels compute within the linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.errors import ModelError


def vit(
    num_classes: int = 10,
    in_channels: int = 1,
    patch: int = 2,
    width: int = 48,
    depth: int = 4,
    heads: int = 4,
    dropout: float = 0.1,
) -> nn.Module:
    """`depth` encoder blocks over patches of `patch`×`patch` pixels, for small images of any size.

    Where a patch lies is told by a depthwise convolution over the patches (Chu et al. 2021,
    arXiv:2102.10882), and the patches' mean is classified. Raises ModelError unless `width` can be
    divided among the heads."""
    if width % heads:
        raise ModelError(f"vit: a width of {width} cannot be divided among {heads} heads")
    return VisionTransformer(num_classes, in_channels, patch, width, depth, heads, dropout)


class VisionTransformer(nn.Module):
    """See `vit`."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        grid = self.patches(images)
        grid = grid + self.position(grid)
        tokens = self.norm(self.blocks(grid.flatten(2).transpose(1, 2)))
        # As an image of one column: XNNPACK's mean is that of images.
        mean = self.pool(tokens.transpose(1, 2).unsqueeze(3)).flatten(1)
        return self.classifier(mean)


class Block(nn.Module):
    """Attention, then an MLP, each beside the identity and after a layer norm. Tokens are of shape
    (batch, tokens, width)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.dropout(self.attention(self.norm1(tokens)))
        return tokens + self.dropout(self.mlp(self.norm2(tokens)))


class Attention(nn.Module):
    """softmax(q kᵀ / √d) v for each head (Vaswani et al. 2017, arXiv:1706.03762, section 3.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            part(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        weights = (query * self.scale @ key.transpose(2, 3)).softmax(dim=3)
        return self.output((weights @ value).transpose(1, 2).flatten(2))
