"""Outputs that int8 hurts, of a network that was built before."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit.linting.document_rules import LintFinding

pytestmark = pytest.mark.torch
NETS = """\
import torch
from torch import nn

class TwoHeads(nn.Module):
    '''`near` reads what has one range; before `far` a constant a thousand times as large.'''

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.near = nn.Linear(8, 10)
        self.wide = nn.Linear(8, 11)
        self.far = nn.Linear(11, 10)
        with torch.no_grad():
            self.wide.bias[10] = 1000.0
            self.far.weight[:, 10] = 0.0

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return {"near": self.near(x), "far": self.far(self.wide(x))}
"""
RECIPE = """\
edgekit: 2
name: heads
model: {name: "nets_of_two_heads:TwoHeads"}
inputs: {input: {shape: [1, 8, 8]}}
data: {name: digits}
stages:
  - {stage: import, name: start}
  - {stage: quantize, method: ptq, export: int8}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nets_of_two_heads.py").write_text(NETS)
    path = tmp_path / "heads.yaml"
    path.write_text(RECIPE)
    return path


def lossy(findings: tuple[LintFinding, ...]) -> list[LintFinding]:
    return [finding for finding in findings if finding.code == "int8-hurts"]


def test_the_head_is_named_with_the_layers_to_keep_once_it_was_computed(recipe: Path) -> None:
    assert lossy(edgekit.lint(recipe)) == []
    whole = edgekit.sensitivity(recipe, samples=16)
    (finding,) = lossy(edgekit.lint(recipe))
    assert finding.severity == "warning"
    assert finding.message.startswith(f"output far: {whole.snr_db:.1f} dB between int8 and float")
    assert finding.fix.startswith("keep_float: [")
    assert "wide" in finding.fix
    assert "near" not in finding.fix

    layers = finding.fix.partition("keep_float: ")[2].partition(" gives")[0]
    recipe.write_text(RECIPE.replace("method: ptq,", f"method: ptq, keep_float: {layers},"))
    assert edgekit.sensitivity(recipe, samples=16).snr_db > 20
    assert lossy(edgekit.lint(recipe)) == []
