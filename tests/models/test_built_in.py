"""The built-in networks have the published size, the shapes they promise, and layers that
compress."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.models import MODELS
from edgekit.models.calling import call
from edgekit.models.create import create_model

pytestmark = pytest.mark.torch

Shape = tuple[int, ...]
SHAPES: dict[str, tuple[Shape, dict[str, Shape]]] = {
    "ds_cnn": ((1, 49, 10), {"output_0": (12,)}),
    "ds_cnn_audio": ((1, 16000), {"output_0": (12,)}),
    "efficientnet_lite0": ((3, 64, 64), {"output_0": (1000,)}),
    "lstm": ((29, 12), {"output_0": (9,)}),
    "mlp": ((10,), {"output_0": (1,)}),
    "mobilenet_v1_025": ((3, 96, 96), {"output_0": (2,)}),
    "mobilenet_v2_small": ((3, 32, 32), {"output_0": (10,)}),
    "mtcnn_onet": ((3, 48, 48), {"face": (2,), "box": (4,), "landmarks": (10,)}),
    "resnet8": ((3, 32, 32), {"output_0": (10,)}),
    "small_cnn": ((1, 8, 8), {"output_0": (10,)}),
    "ssd_mobilenet_v2": ((1, 32, 48), {"boxes": (90, 4), "scores": (90, 11)}),
    "unet": ((1, 16, 24), {"output_0": (2, 16, 24)}),
    "vit": ((1, 8, 8), {"output_0": (10,)}),
}
"""An input and the outputs of a sample."""


def keras_parameters(model: nn.Module) -> int:
    """Parameters as Keras counts them: with the running mean and variance of batch
    normalisation."""
    running = (buffer for name, buffer in model.named_buffers() if "running" in name)
    return sum(tensor.numel() for tensor in chain(model.parameters(), running))


@pytest.mark.parametrize(
    ("name", "published"), [("resnet8", 78_666), ("ds_cnn", 24_908), ("mobilenet_v1_025", 221_794)]
)
def test_mlperf_tiny_networks_have_the_published_size(name: str, published: int) -> None:
    assert keras_parameters(create_model(name, {}, seed=0)) == published


def test_every_built_in_is_tried_here() -> None:
    assert set(SHAPES) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_of_a_batch(name: str) -> None:
    shape, expected = SHAPES[name]
    model = create_model(name, {}, seed=0).eval()
    image = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = call(model, {"image": image})
    assert {name: tuple(values.shape[1:]) for name, values in outputs.items()} == expected
    for values in outputs.values():
        assert torch.isfinite(values).all()
        assert not torch.equal(values[0], values[1])


def test_a_detector_names_the_anchors_of_a_cell_one_after_the_other() -> None:
    """As edgekit.tasks.detection decodes them: of two anchors in each cell, a head whose first four
    channels are 1 and the others 2 gives rows of 1 and 2 in turn."""
    model = create_model("ssd_mobilenet_v2", {"anchors": [2, 2]}, seed=0).eval()
    for head in model.get_submodule("boxes").children():
        last = head.get_submodule("3")
        assert isinstance(last, torch.nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.tensor([1.0] * 4 + [2.0] * 4))
    boxes = model(torch.zeros(1, 1, 32, 32))["boxes"][0]
    assert boxes.shape == (2 * (4 * 4 + 2 * 2), 4)
    assert (boxes[::2] == 1).all()
    assert (boxes[1::2] == 2).all()


def test_a_u_net_sees_small_things_and_large_ones() -> None:
    """A pixel's score depends on the pixel itself, by the way across, and on those far from it, by
    the way down and up."""
    model = create_model("unet", {}, seed=0).eval()
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    image.requires_grad_()
    model(image)[0, 0, 16, 16].backward()
    assert image.grad is not None
    assert image.grad[0, 0, 16, 16] != 0
    assert image.grad[0, 0, 2, 2] != 0


@pytest.mark.parametrize(
    "name", ["small_cnn", "resnet8", "ds_cnn", "mobilenet_v1_025", "mobilenet_v2_small", "vit"]
)
def test_channels_and_classes_are_arguments(name: str) -> None:
    model = create_model(name, {"num_classes": 5, "in_channels": 2}, seed=0).eval()
    assert model(torch.zeros(1, 2, 40, 40)).shape == (1, 5)


def test_strides_decide_the_size_of_the_last_feature_map() -> None:
    def last_map(**args: Any) -> tuple[int, ...]:
        model = create_model("mobilenet_v2_small", args, seed=0).eval()
        features = model.get_submodule("features")
        return tuple(features(torch.zeros(1, 3, 32, 32)).shape[2:])

    assert last_map(strides=[1, 2, 2, 2, 1, 2, 1]) == (1, 1)
    assert last_map() == (2, 2)
    assert last_map(stem_stride=1) == (4, 4)


def test_with_its_own_strides_it_is_torchvisions_network() -> None:
    ours = create_model(
        "mobilenet_v2_small", {"strides": [1, 2, 2, 2, 1, 2, 1], "num_classes": 10}, seed=3
    ).eval()
    theirs = create_model("mobilenet_v2", {"num_classes": 10, "width_mult": 0.35}, seed=3).eval()
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    "args", [{"strides": [1, 2]}, {"strides": [1, 2, 3, 1, 1, 1, 1]}, {"stem_stride": 4}]
)
def test_strides_that_make_no_network(args: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="expected seven strides of 1 or 2"):
        create_model("mobilenet_v2_small", args, seed=0)


def test_the_lstm_classifies_what_it_saw_last() -> None:
    model = create_model("lstm", {}, seed=0).eval()
    series = torch.randn(1, 29, 12, generator=torch.Generator().manual_seed(0))
    late = series.clone()
    late[0, -1] += 1
    assert (model(series) - model(late)).abs().max() > 1e-3
