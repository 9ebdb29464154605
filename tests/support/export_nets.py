"""Small networks whose exports take seconds, and their test samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.data.dataset import ArraySplit
from tests.support.splits import one_input_split

IMAGE = (3, 16, 16)
SERIES = (6, 5)


class ConvNet(nn.Module):
    """Convolution, depthwise, pointwise, residual, pooling, linear: what edge image models are made
    of."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
        )
        self.pointwise = nn.Sequential(
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        features = features + self.pointwise(self.depthwise(features))
        return self.classifier(torch.flatten(self.pool(features), 1))


class SeriesNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(SERIES[1], 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, series: Tensor) -> Tensor:
        return self.head(self.lstm(series)[0][:, -1])


class SingularValues(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return torch.linalg.svd(features.reshape(-1, 4, 4))[1]


class Sorting(nn.Module):
    """Has an operator that runs everywhere but in no delegate."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 8)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cumsum(self.inner(features), dim=1)


def conv_net(width: int = 8) -> ConvNet:
    """With batch-norm statistics of its own, so that folding them matters."""
    torch.manual_seed(1)
    net = ConvNet(width)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
        net.train()
        for _ in range(10):
            net(torch.randn(16, *IMAGE))
    return net.eval()


def series_net() -> SeriesNet:
    torch.manual_seed(2)
    return SeriesNet().eval()


def samples(net: nn.Module, shape: tuple[int, ...], count: int = 40) -> ArraySplit:
    """Random samples, labelled with what the net itself says except for every tenth."""
    inputs = torch.randn(count, *shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    labels[::10] = (labels[::10] + 1) % 3
    return one_input_split(inputs, labels, shape)
