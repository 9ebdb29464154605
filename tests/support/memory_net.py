"""A network that keeps a state, series for it, and a recipe of both, in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.data.dataset import ArraySplit
from edgekit.data.source import InputSpec
from edgekit.states import State, States

FEATURES, WIDTH, STEPS = 3, 16, 10
SPECS = {"x": InputSpec((FEATURES,))}
STATES = States({"memory": State((WIDTH,), "hidden")}, ("memory", "x"))


class MemoryNet(nn.Module):
    """A cell with two gates. Its state is the first input and the second output, and has another
    name as each."""

    def __init__(self) -> None:
        super().__init__()
        self.keep = nn.Linear(FEATURES + WIDTH, WIDTH)
        self.take = nn.Linear(FEATURES + WIDTH, WIDTH)
        self.candidate = nn.Linear(FEATURES + WIDTH, WIDTH)
        self.scores = nn.Linear(WIDTH, 2)

    def forward(self, memory: Tensor, x: Tensor) -> dict[str, Tensor]:
        both = torch.cat([x, memory], 1)
        candidate = torch.tanh(self.candidate(both))
        hidden = (
            torch.sigmoid(self.keep(both)) * memory + torch.sigmoid(self.take(both)) * candidate
        )
        return {"scores": self.scores(hidden), "hidden": hidden}


def memory_net() -> MemoryNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MemoryNet().eval()


def series(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs of shape (count, STEPS, FEATURES), and at each step whether the first feature has been
    positive on the whole."""
    x = torch.randn(count, STEPS, FEATURES, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, :, 0].cumsum(1) > 0).long()


def split(count: int, seed: int = 1) -> ArraySplit:
    x, targets = series(count, seed)
    return ArraySplit({"x": x}, targets, SPECS, STATES)


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For a recipe: whole series for training and testing."""
    return (*series(256, 1), *series(20, 2))


def write_recipe(directory: Path, text: str) -> Path:
    """A recipe, with this module beside it."""
    (directory / "memory_parts.py").write_text(Path(__file__).read_text())
    file = directory / "memory.yaml"
    file.write_text(text)
    return file


RECIPE = """
edgekit: 2
name: memory
model: {name: "memory_parts:memory_net"}
inputs:
  memory: {shape: [16], from_output: hidden}
  x: {shape: [3]}
data: {name: "memory_parts:data"}
verify: {samples: 60, snr_min_db: 15, cosine_min: 0.98, agreement_min_percent: 95}
stages:
  - {stage: train, epochs: 8, lr: 0.02, batch_size: 32, export: fp32}
  - {stage: quantize, method: ptq, calibration_samples: 64, export: int8}
  - {stage: quantize, from: fp32, method: dynamic, export: dynamic}
export: {evaluation_set: 12}
"""
