"""Layers before a clamp are quantized after it."""

from __future__ import annotations

import pytest
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
from torch import Tensor, nn

from edgekit.compress.quantize import calibrate, pt2e
from tests.support.compress_nets import batch, named

pytestmark = pytest.mark.torch

IMAGES = batch(8, 3, 8, 8)


def wide(clamp: nn.Module) -> nn.Module:
    """Convolutions that give ten times more than the clamp lets through."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 16, 3),
            nn.BatchNorm2d(16),
            clamp,
            nn.Conv2d(16, 16, 3),
            clamp,
            nn.Flatten(),
            nn.Linear(256, 10),
        )
    with torch.no_grad():
        net[0].weight.mul_(100)  # type: ignore[operator]
        net[3].weight.mul_(10)  # type: ignore[operator]
    return net.eval()


def snr_db(model: nn.Module, **options: object) -> float:
    graph = pt2e.prepare_ptq(model, named(IMAGES[:2]), observer="minmax", **options)  # type: ignore[arg-type]
    calibrate.calibrate(graph, [named(IMAGES)])
    with torch.no_grad():
        whole, quantized = model(IMAGES), pt2e.convert(graph, fold=True)(IMAGES)
    return float(10 * torch.log10(whole.square().sum() / (whole - quantized).square().sum()))


@pytest.mark.parametrize("clamp", [nn.ReLU6(), nn.Hardtanh(-1, 1), nn.ReLU6(inplace=True)], ids=str)
def test_the_range_is_what_the_clamp_lets_through(
    clamp: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = snr_db(wide(clamp))
    monkeypatch.setattr(pt2e, "AfterClamps", XNNPACKQuantizer)
    assert after > snr_db(wide(clamp)) + 3


def test_relu_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    after = snr_db(wide(nn.ReLU()))
    monkeypatch.setattr(pt2e, "AfterClamps", XNNPACKQuantizer)
    assert after == snr_db(wide(nn.ReLU()))


class Forked(nn.Module):
    """What the convolution gives is seen before its clamp too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return nn.functional.relu6(x) + x


def test_an_output_that_others_see_keeps_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Forked().eval()
    before = snr_db(net)
    monkeypatch.setattr(pt2e, "AfterClamps", XNNPACKQuantizer)
    assert snr_db(net) == before


def test_layers_kept_float_stay_float() -> None:
    graph = pt2e.prepare_ptq(wide(nn.ReLU6()), named(IMAGES[:2]), keep_float=("0", "3", "6"))
    assert not any(
        "quantize" in str(node.target) for node in pt2e.convert(graph, fold=True).graph.nodes
    )
