"""The device of a training. No GPU is needed: that a graph computes on another device is shown on
torch's `meta`, which has shapes and no numbers, and refuses, as a GPU does, an operator with a
tensor that stayed on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgekit.compress.training.device import CPU, device_name, move, on_device, training_device
from edgekit.errors import UsageError
from edgekit.models.create import create_model

pytestmark = pytest.mark.torch
META = torch.device("meta")


class Ramp(nn.Module):
    """It makes a tensor of its own in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + torch.arange(4, dtype=torch.float32, device=x.device)


def test_auto_is_a_gpu_where_there_is_one() -> None:
    gpu = torch.accelerator.current_accelerator(check_available=True)
    assert training_device("auto") == (gpu or CPU)
    assert training_device("cpu") == CPU
    assert device_name(CPU).startswith("cpu: ")


@pytest.mark.parametrize("name", ["cuda:63", "xpu:63"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match=f"torch finds no {name} on this machine") as raised:
        training_device(name)
    assert "auto or cpu" in (raised.value.hint or "")


def captured(model: nn.Module, x: torch.Tensor) -> Any:
    return torch.export.export(model, (x,)).module(check_guards=False)


def test_a_graph_takes_along_the_tensors_that_it_makes() -> None:
    graph = captured(Ramp(), torch.zeros(2, 4))
    move(graph, META)
    assert graph(torch.zeros(2, 4, device=META)).device == META


def test_nothing_of_a_graph_stays_behind() -> None:
    model = create_model("lstm", {"hidden": 8}, seed=0).eval()
    graph = captured(model, torch.randn(2, 5, 12))
    move(graph, META)
    tensors = [*graph.parameters(), *graph.buffers()]
    written = [node.kwargs["device"] for node in graph.graph.nodes if "device" in node.kwargs]
    assert written
    assert {tensor.device for tensor in tensors} == set(written) == {META}


def test_models_are_on_the_cpu_again_also_after_a_failure() -> None:
    model = nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="out of memory"), on_device([model], CPU):
        raise RuntimeError("out of memory")
    assert all(tensor.device == CPU for tensor in model.state_dict().values())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
