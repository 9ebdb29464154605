"""Small networks the compression tests share, with batch-norm statistics that differ from the
initial ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.create import create_model


def seeded(name: str, seed: int = 0, **args: object) -> nn.Module:
    """A network of the zoo whose batch norms do something."""
    return with_statistics(create_model(name, args, seed=seed))


def with_statistics(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                for tensor, low, high in ((layer.weight, 0.5, 1.5), (layer.bias, -0.2, 0.2)):
                    tensor.uniform_(low, high, generator=generator)
            layer.get_buffer("running_mean").uniform_(-0.2, 0.2, generator=generator)
            layer.get_buffer("running_var").uniform_(0.1, 1.5, generator=generator)
    return model.eval()


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Separable(nn.Module):
    """conv-bn-relu, depthwise conv-bn-relu, conv with bias-bn, a residual sum, pool, linear. Batch
    norm with its own epsilon and momentum."""

    def __init__(self, eps: float = 1e-3, momentum: float = 0.01) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, eps, momentum), nn.ReLU()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8, eps, momentum),
            nn.ReLU(),
        )
        self.pointwise = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8, eps, momentum))
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.pointwise(self.depthwise(x)))
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3))))
        return logits


def separable(eps: float = 1e-3, momentum: float = 0.01) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Separable(eps, momentum)
    return with_statistics(model)


def named(values: Tensor) -> dict[str, Tensor]:
    """A batch of a network with one input."""
    return {"input": values}
