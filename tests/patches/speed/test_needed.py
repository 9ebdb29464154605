"""The libraries still do the work twice that `patches/speed` saves, counted in calls. A test that
fails here says that a shortcut can go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import litert_torch
import pytest
import torch
from executorch.backends.xnnpack import _passes
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from torch import nn
from torch.export import ExportedProgram, exported_program
from torch.fx import Graph, traceback
from torchao.quantization.pt2e import qat_utils
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

from edgekit.captured_graph import capture
from edgekit.patches.replacing import replaced
from edgekit.patches.speed import qat
from edgekit.patches.speed.lowering import fast_executorch, fast_litert
from edgekit.patches.speed.qat import fast_patterns
from tests.support.compress_nets import named

pytestmark = [pytest.mark.nightly, pytest.mark.torch]

EXAMPLE = torch.zeros(1, 8)


@contextmanager
def counted(owner: Any, name: str, calls: Counter[str]) -> Iterator[None]:
    original = getattr(owner, name)

    def counting(*args: Any, **options: Any) -> Any:
        calls[name] += 1
        return original(*args, **options)

    with replaced(owner, name, counting):
        yield


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)).eval()


def lower(model: nn.Module) -> None:
    to_edge_transform_and_lower(
        torch.export.export(model, (EXAMPLE,)),
        partitioner=[XnnpackPartitioner()],
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )


def calls_of(work: Callable[[], None], owner: Any, name: str) -> int:
    calls: Counter[str] = Counter()
    with counted(owner, name, calls):
        work()
    return calls[name]


def test_xnnpack_still_runs_passes_that_have_nothing_to_do() -> None:
    plain = calls_of(lambda: lower(net()), _passes, "_transform")
    with fast_executorch():
        fast = calls_of(lambda: lower(net()), _passes, "_transform")
    assert plain == 17
    assert 0 < fast < plain / 2


def test_lowering_still_decomposes_the_program_again_and_again() -> None:
    plain = calls_of(lambda: lower(net()), exported_program, "_decompose_exported_program")
    with fast_executorch():
        fast = calls_of(lambda: lower(net()), exported_program, "_decompose_exported_program")
    assert 0 < fast < plain


def test_torch_still_copies_the_history_of_every_node() -> None:
    node = Graph().placeholder("x")
    node.meta["from_node"] = [traceback.NodeSource(None)]
    assert traceback.NodeSource(node).from_node[0] is not node.meta["from_node"][0]
    with fast_executorch():
        assert traceback.NodeSource(node).from_node[0] is node.meta["from_node"][0]


def test_litert_still_traces_a_model_that_is_already_traced() -> None:
    model = net()
    program: ExportedProgram = torch.export.export(model, (EXAMPLE,), strict=False)

    def convert() -> None:
        litert_torch.convert(model, (EXAMPLE,))

    plain = calls_of(convert, torch.export, "export")
    assert plain >= 1
    counts: Counter[str] = Counter()
    with counted(torch.export, "export", counts), fast_litert(model, program):
        convert()
    assert counts["export"] < plain


def test_torchao_still_traces_patterns_of_convolutions_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What this process traced before would not be traced, and counted, again.
    monkeypatch.setattr(qat, "_traced", {})
    quantizer = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    )
    image = torch.zeros(2, 3, 8, 8)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()

    def prepare() -> None:
        prepare_qat_pt2e(capture(model, named(image)), quantizer)

    name = "_get_aten_graph_module_for_pattern"
    plain = calls_of(prepare, qat_utils, name)
    counts: Counter[str] = Counter()
    with counted(qat_utils, name, counts), fast_patterns():
        prepare()
    assert 0 < counts[name] < plain / 2
