"""The libraries still have the faults that `patches/correctness` works around. A test that fails
here says that a patch can go."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import numpy as np
import pytest
import torch
from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from torch import nn

from edgekit.patches.correctness import separate_bias, weight_storage
from edgekit.patches.correctness.weight_storage import Storage

pytestmark = pytest.mark.torch


def lowered(net: nn.Module, example: torch.Tensor) -> bytes:
    program = to_edge_transform_and_lower(
        torch.export.export(net, (example,)),
        partitioner=[XnnpackPartitioner()],
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )
    return bytes(program.to_executorch().buffer)


def outputs(program: bytes, example: torch.Tensor) -> np.ndarray:
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(program).load_method("forward")
    assert method is not None
    return np.asarray(method.execute((example,))[0].numpy()).copy()


def test_the_versions_are_the_installed_ones() -> None:
    for module in (separate_bias, weight_storage):
        for name, patched in module.VERSIONS.items():
            assert version(name) == patched, f"{module.__name__}: look at it again, then name it"


def test_xnnpack_still_leaves_the_bias_out_beside_int8_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When this fails, `separate_bias` can go."""
    torch.manual_seed(0)
    net = nn.Linear(32, 16).eval()
    example = torch.randn(1, 32)
    monkeypatch.setattr(weight_storage, "_without_bias", lambda weight: True)
    with weight_storage.weight_storage(Storage.INT8, frozenset()):
        program = lowered(net, example)
    with torch.no_grad():
        without_bias = nn.functional.linear(example, net.weight).numpy()
    np.testing.assert_allclose(outputs(program, example), without_bias, atol=0.02)
    assert net.bias.abs().max() > 0.1


def test_executorch_still_has_no_switch_for_smaller_float_weights() -> None:
    """When this fails, `weight_storage` may have a replacement in the library."""
    torch.manual_seed(0)
    net = nn.Linear(64, 64, bias=False).eval()
    plain = lowered(net, torch.randn(1, 64))
    assert net.weight.detach().numpy().tobytes() in plain
    options = {
        *inspect.signature(XnnpackPartitioner.__init__).parameters,
        *inspect.signature(NodeVisitor.get_serialized_dtype).parameters,
    }
    assert options == {
        "self",
        "configs",
        "config_precisions",
        "per_op_mode",
        "verbose",
        "kwargs",
        "quant_params",
        "node",
        "force_fp32",
    }
