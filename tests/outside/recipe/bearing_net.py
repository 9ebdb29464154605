"""A network with two inputs and two outputs by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BearingNet(nn.Module):
    def __init__(self, machines: int, steps: int) -> None:
        super().__init__()
        self.machine = nn.Embedding(machines, 4)
        self.hidden = nn.Linear(steps + 4, 16)
        self.wear = nn.Linear(16, 1)
        self.alarm = nn.Linear(16, 3)

    def forward(self, vibration: Tensor, machine: Tensor) -> dict[str, Tensor]:
        known = self.machine(machine).flatten(1)
        hidden = torch.relu(self.hidden(torch.cat([vibration, known], dim=1)))
        return {"wear": self.wear(hidden), "alarm": self.alarm(hidden)}


def build(machines: int = 4, steps: int = 16) -> nn.Module:
    return BearingNet(machines, steps)
