"""The shortcuts change no byte: networks with every operator that a left-out pass acts on, lowered
with and without them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.backends.backend import Backend
from edgekit.backends.litert import LITERT
from edgekit.backends.xnnpack import XNNPACK
from edgekit.compress.scheme import FLOAT, Scheme
from edgekit.patches.speed import lowering
from tests.support.export_nets import IMAGE, SERIES, conv_net, series_net
from tests.support.schemes import SCHEMES

pytestmark = pytest.mark.torch


class Convolutions(nn.Module):
    """Pooling with indices dropped, padding, PReLU, batch norm with nothing to fold into, a long
    concatenation, bilinear upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.slope = nn.PReLU(4)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(self.slope(self.first(functional.pad(images, (1, 1, 1, 1)))))
        features = torch.cat([self.norm(features + index) for index in range(6)], dim=1)
        features = functional.interpolate(
            torch.relu(features.clone()), scale_factor=2, mode="bilinear"
        )
        return features.max(dim=3, keepdim=True)[0].mean(dim=(2, 3))


class Attention(nn.Module):
    """Products of matrices, softmax, a constant made in the forward, a one-dimensional
    convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        self.project = nn.Linear(5, 8)

    def forward(self, series: Tensor) -> Tensor:
        keys = self.project(self.norm(self.mix(series)))
        mixed = functional.scaled_dot_product_attention(keys, keys, keys)
        weights = torch.softmax(torch.bmm(keys, keys.transpose(1, 2)), dim=-1)
        return (mixed + weights @ keys + torch.arange(8, dtype=torch.float32)).mean(dim=1)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "image": (conv_net, IMAGE),
    "recurrent": (series_net, SERIES),
    "convolutions": (lambda: Convolutions().eval(), IMAGE),
    "attention": (lambda: Attention().eval(), SERIES),
}
BY_DAY = "image"
"""The shortcuts hold for all or for none as long as torch's version is the same."""


def lowered(backend: Backend, net: nn.Module, shape: tuple[int, ...], scheme: Scheme) -> bytes:
    torch.manual_seed(0)
    example = {"x": torch.randn(1, *shape)}
    return backend.lower(net, example, scheme=scheme, keep_float=()).data


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == BY_DAY else pytest.mark.nightly) for name in NETS],
)
@pytest.mark.parametrize("backend", [XNNPACK, LITERT], ids=lambda backend: backend.name)
def test_equal_bytes(name: str, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = NETS[name]
    torch.manual_seed(0)
    net = make()
    assert lowering.usable(), (
        "the versions moved on: check that the shortcuts still hold, then name the new ones"
    )
    fast = lowered(backend, net, shape, FLOAT)
    monkeypatch.setattr(lowering, "VERSIONS", {"torch": "0"})
    assert not lowering.usable()
    assert lowered(backend, net, shape, FLOAT) == fast


@pytest.mark.nightly
@pytest.mark.parametrize("method", ["dynamic", "fp16"])
def test_equal_bytes_of_quantized_models(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = lowered(XNNPACK, series_net(), SERIES, SCHEMES[method])
    monkeypatch.setattr(lowering, "VERSIONS", {"torch": "0"})
    assert lowered(XNNPACK, series_net(), SERIES, SCHEMES[method]) == fast
