from __future__ import annotations

import contextlib
import copy
import subprocess
import sys

import pytest
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import qat_utils
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from edgekit.captured_graph import capture
from edgekit.patches.speed import qat
from edgekit.patches.speed.qat import fast_patterns
from tests.support.compress_nets import batch, named, separable, with_statistics

pytestmark = [pytest.mark.nightly, pytest.mark.torch]

IMAGES = batch(2, 3, 8, 8)


class Kinds(nn.Module):
    """Every kind of convolution the patterns know, with and without bias, depthwise too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = separable()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        )
        self.series = nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4))
        self.longer = nn.Sequential(nn.ConvTranspose1d(4, 4, 2, bias=False), nn.BatchNorm1d(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.body(x) + self.longer(self.series(self.up(x).flatten(2))).mean(
            2
        )
        return logits


def quantized(model: nn.Module) -> tuple[GraphModule, GraphModule]:
    """The prepared graph after a training step, and its conversion."""
    quantizer = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    )
    graph = prepare_qat_pt2e(capture(model, named(IMAGES)), quantizer)
    graph(IMAGES)
    return graph, convert_pt2e(copy.deepcopy(graph))


def equal(ours: tuple[GraphModule, ...], theirs: tuple[GraphModule, ...]) -> bool:
    """Code and state of both graphs, and the numbers of the converted one (the other is in training
    mode)."""
    states = [(a.state_dict(), b.state_dict()) for a, b in zip(ours, theirs, strict=True)]
    return (
        all(a.code == b.code for a, b in zip(ours, theirs, strict=True))
        and all(
            a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
            for a, b in states
        )
        and torch.equal(ours[1](IMAGES), theirs[1](IMAGES))
    )


@pytest.mark.slow
def test_graphs_and_numbers_equal_those_of_the_plain_path() -> None:
    assert qat.usable(), (
        "torchao or executorch moved: set VERSIONS to the new versions and see whether the rest of"
        " this test holds"
    )
    model = with_statistics(Kinds())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = quantized(model)
        with fast_patterns():
            torch.manual_seed(0)
            fast = quantized(model)
            torch.manual_seed(0)
            assert equal(fast, quantized(model)), "a pattern from memory is as good as a traced one"
    assert equal(fast, plain)


def test_torchao_is_itself_again_afterwards() -> None:
    names = (
        "_get_aten_graph_module_for_pattern",
        "replace_pattern_with_filters",
        "_fuse_conv_bn_qat_helper",
        "_fold_conv_bn_qat_helper",
    )
    before = [getattr(qat_utils, name) for name in names]
    export = torch.export.export
    with contextlib.suppress(ValueError), fast_patterns():
        assert not any(
            getattr(qat_utils, name) is function
            for name, function in zip(names, before, strict=True)
        )
        raise ValueError
    assert [getattr(qat_utils, name) for name in names] == before
    assert torch.export.export is export


def test_another_version_of_torchao_takes_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(qat.VERSIONS, "torchao", "0.19.0")
    plain = qat_utils._fold_conv_bn_qat_helper
    with fast_patterns():
        assert qat_utils._fold_conv_bn_qat_helper is plain


def test_preparing_a_model_twice_traces_no_pattern_twice() -> None:
    with fast_patterns():
        quantized(separable())
        traced = set(qat._traced)
        quantized(separable())
    assert set(qat._traced) == traced


CONVERSION = """
import time, torch
torch.set_num_threads(1)
from tests.support.compress_nets import batch, named, separable
from edgekit.compress.quantize.pt2e import convert, prepare_qat, set_qat_mode
graph = prepare_qat(separable(), named(batch(2, 3, 8, 8)))
set_qat_mode(graph, training=True)
graph(batch(2, 3, 8, 8))
start = time.process_time()
convert(graph, fold=True)
print(time.process_time() - start)
"""
"""Prints the seconds of processor time that a conversion takes."""


@pytest.mark.slow
def test_a_model_converts_in_seconds_rather_than_minutes() -> None:
    """The plain path takes half a minute of processor time for any model, even in this test's small
    one."""
    done = subprocess.run(
        [sys.executable, "-c", CONVERSION], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 10
