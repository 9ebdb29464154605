"""Recipes of tests, and the list of those that the project ships."""

from __future__ import annotations

from pathlib import Path

HEAD = """\
edgekit: 1
name: net
model: {name: resnet8}
input: {shape: [3, 32, 32]}
data: {name: fashion_mnist}
"""

BASE = (
    HEAD
    + """\
stages:
  - stage: train
    epochs: 2
    export: fp32
  - stage: quantize
    method: qat
    export: int8
    train: {epochs: 1}
"""
)


def write(directory: Path, text: str, name: str = "recipe.yaml") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


SHIPPED = sorted(Path(__file__).parents[2].joinpath("recipes").glob("**/*.yaml"))

RECIPE = """
edgekit: 1
name: tiny
model: {name: small_cnn, args: {num_classes: 10}}
input: {shape: [1, 8, 8]}
data: {name: digits, train_limit: 256, test_limit: 100}
verify: {samples: 16, snr_min_db: 10, cosine_min: 0.9, top1_agreement_min_percent: 80}
stages:
  - {stage: train, epochs: 3, lr: 0.01, export: fp32}
  - {stage: quantize, method: ptq, calibration_samples: 64, export: int8}
"""
