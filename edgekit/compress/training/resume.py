"""The state of a training between two epochs, in one file: what `fit` needs to go on as if it had
never stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule

from edgekit.compress.quantize.graph_state import load_graph_state


def save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    plan: list[float | str],
    epochs: int,
) -> None:
    """Replace the file at once, so that a kill at any instant leaves the old state or the new one.
    `plan` identifies the training."""
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    with staged.open("wb") as stream:
        torch.save(
            {
                "plan": plan,
                "epochs": epochs,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
            },
            stream,
        )
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)


def load(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, plan: list[float | str]
) -> int:
    """Put model and optimiser into the saved state and return the number of finished epochs.

    0, and nothing is changed, without a file, with one of another training, or with one that cannot
    be read: training then starts from the beginning."""
    saved = _read(path)
    if saved.get("plan") != plan or list(saved.get("model", ())) != list(model.state_dict()):
        return 0
    if isinstance(model, GraphModule):
        load_graph_state(model, saved["model"])
    else:
        model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["epochs"]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a damaged file makes the reader raise, the answer is to start over
        return {}
