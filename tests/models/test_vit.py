"""The vision transformer: attention as torch's own, positions, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from edgekit.compress.layers import layers_with_weights
from edgekit.compress.quantize.calibrate import calibrate
from edgekit.compress.quantize.pt2e import convert, prepare_ptq
from edgekit.compress.quantize.report import quantized_layer_report
from edgekit.errors import ModelError
from edgekit.models.create import create_model
from edgekit.models.vit import Attention

pytestmark = pytest.mark.torch


def test_attention_is_torchs_own() -> None:
    attention = Attention(width=24, heads=3).eval()
    tokens = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(0))
    query, key, value = (
        layer(tokens).reshape(2, 7, 3, 8).transpose(1, 2)
        for layer in (attention.query, attention.key, attention.value)
    )
    fused = functional.scaled_dot_product_attention(query, key, value)
    expected = attention.output(fused.transpose(1, 2).reshape(2, 7, 24))
    assert torch.allclose(attention(tokens), expected, atol=1e-6)


def test_it_sees_where_a_patch_lies() -> None:
    model = create_model("vit", {}, seed=0).eval()
    images = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = images.roll(4, dims=3)  # the same patches, in other places
    assert (model(images) - model(moved)).abs().max() > 1e-3


def test_all_layers_with_weights_can_be_int8_and_what_is_between_stays_float() -> None:
    model = create_model("vit", {"depth": 1}, seed=0)
    example = {"image": torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))}
    graph = prepare_ptq(model, example)
    calibrate(graph, [example])
    graph = convert(graph, fold=True)
    report = quantized_layer_report(graph)
    assert set(report["layers"]) == set(layers_with_weights(model))
    assert report["float_layers"] == []
    nodes = {str(node.target): node for node in graph.graph.nodes}
    assert nodes["aten.layer_norm.default"].args[2].op == "get_attr", "its weights are float"
    [product] = nodes["aten.softmax.int"].users
    assert str(product.target) == "aten.matmul.default", "nothing is quantized between them"


def test_a_width_that_the_heads_cannot_share() -> None:
    with pytest.raises(ModelError, match="a width of 50 cannot be divided among 4 heads"):
        create_model("vit", {"width": 50}, seed=0)
