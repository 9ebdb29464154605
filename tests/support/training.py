"""A training with the settings that most tests share."""

from __future__ import annotations

from typing import Any

from torch import nn

from edgekit.compress.training.fit import FitReport, fit
from edgekit.data.dataset import Split
from edgekit.tasks.classification import CLASSIFICATION

DEFAULTS: dict[str, Any] = {
    "task": CLASSIFICATION,
    "epochs": 1,
    "batch_size": 64,
    "optimizer": "adamw",
    "lr": 3e-3,
    "weight_decay": 0.0,
    "momentum": 0.9,
    "schedule": "cosine",
    "warmup_epochs": 0.0,
    "step_epochs": 10.0,
    "label_smoothing": 0.0,
    "gradient_clip_norm": None,
    "augment": (),
    "seed": 0,
}


def train(model: nn.Module, data: Split, **options: Any) -> FitReport:
    return fit(model, data, **(DEFAULTS | options))
