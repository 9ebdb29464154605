"""Biases of linear layers whose weights XNNPACK reads as int8 beside float activations.

XNNPACK's float32 product with int8 filters leaves the bias out (seen on x86-64 in executorch 1.5.1:
outputs differ by exactly the bias). The bias is therefore added in an operation of its own."""

from __future__ import annotations

import copy

from torch import Tensor, nn

VERSIONS = {"executorch": "1.5.1"}
"""The version that leaves the bias out."""


class BiasAfter(nn.Linear):
    """A linear layer that adds its bias in an operation of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, self.weight) + self.bias


def bias_after(model: nn.Module, float_layers: frozenset[str]) -> nn.Module:
    """A copy of the model whose linear layers, except those named in `float_layers`, add their bias
    separately."""
    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and layer.bias is not None and name not in float_layers:
            separate = BiasAfter(layer.in_features, layer.out_features, device="meta")
            separate.weight, separate.bias = layer.weight, layer.bias
            model.set_submodule(name, separate)
    return model
