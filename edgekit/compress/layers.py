"""Layers by name: which ones carry weights, and which of them stay float."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from edgekit.compress.patterns import matches, require_matches

LSTMS = (nn.LSTM, nn.LSTMCell)
RECURRENT = (nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell)
CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
WITH_WEIGHTS = (nn.Linear, *CONVOLUTIONS, *RECURRENT)


def layers_with_weights(model: nn.Module) -> dict[str, nn.Module]:
    """Convolutions, linear and recurrent layers by dotted name."""
    return {
        name: module for name, module in model.named_modules() if isinstance(module, WITH_WEIGHTS)
    }


def kept_float(model: nn.Module, patterns: Sequence[str]) -> frozenset[str]:
    """Names of the layers with weights that one of the patterns means. Raises ModelError for a
    pattern that means no layer."""
    names = list(layers_with_weights(model))
    require_matches(names, patterns, purpose="layers to keep float")
    return frozenset(name for name in names if matches(name, patterns))
