"""What a network costs: multiply-accumulates and parameters, counted by running it once."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgekit.captured_graph import unfused_attention
from edgekit.models.calling import Inputs, batch_size, evaluating


def count_macs_params(model: nn.Module, example: Inputs) -> tuple[int, int]:
    """Multiply-accumulates of one sample (convolutions, matrix products and recurrent layers) and
    the number of parameters.

    `example` is a batch by input name. The model's mode is kept."""
    with (
        evaluating(model),
        torch.no_grad(),
        unfused_attention(),
        sdpa_kernel(SDPBackend.MATH),  # the CPU's fused one is opaque to the counter
        warnings.catch_warnings(),
        FlopCounterMode(display=False) as counter,
    ):
        warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")
        with torch.backends.mkldnn.flags(enabled=False):  # its fused LSTM is opaque to the counter
            model(*example.values())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return counter.get_total_flops() // 2 // batch_size(example), parameters
