"""nn.TransformerEncoder in every scheme: in eval mode without gradients torch would run it as one
operator, which no backend has a kernel for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.backends.tracing import trace
from edgekit.captured_graph import capture, unfused_attention
from edgekit.compress.counting import count_macs_params
from tests.support.compress_nets import batch, named

pytestmark = pytest.mark.torch

TOKENS = batch(2, 9, 16)


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()


@pytest.mark.parametrize("gradients", [False, True])
def test_captured_by_its_parts(gradients: bool) -> None:
    model = encoder()
    with torch.set_grad_enabled(gradients):
        graphs = [trace(model, named(TOKENS)).graph, capture(model, named(TOKENS)).graph]
    for graph in graphs:
        operators = {str(node.target) for node in graph.nodes if node.op == "call_function"}
        assert not any(
            "transformer_encoder" in name or "native_multi" in name for name in operators
        )
        assert any("linear" in name for name in operators)
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_switch_is_put_back_as_it_was() -> None:
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with unfused_attention():
            pass
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_its_products_are_counted() -> None:
    """Projections 4·16², feed-forward 2·16·32, for 9 tokens; 9² products of 16 values, twice."""
    macs, _ = count_macs_params(encoder(), named(TOKENS))
    assert macs == 2 * (9 * (4 * 16**2 + 2 * 16 * 32) + 2 * 9**2 * 16)
