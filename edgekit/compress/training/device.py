"""The processor that a model is trained on: this machine's CPU, or its GPU. Models are on the CPU
before a training and after it; nothing else knows of GPUs."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.fx import GraphModule

from edgekit.errors import UsageError

CPU = torch.device("cpu")


def training_device(name: str) -> torch.device:
    """The device of a recipe's `training.device`; `auto` is a GPU where torch finds one, else the
    CPU.

    Raises UsageError for a device that this machine does not have."""
    gpu = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        device = gpu or CPU
    else:
        device = torch.device(name)
        there = gpu is not None and gpu.type == device.type
        if device != CPU and not (there and (device.index or 0) < torch.accelerator.device_count()):
            raise UsageError(
                f"training.device: torch finds no {name} on this machine",
                hint="set training.device to auto or cpu, or install a torch that was built for it",
            )
    if device.type == "cuda":
        # cuBLAS reads it when it starts, and is not deterministic without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def device_name(device: torch.device) -> str:
    """What a device is, for the manifest: its kind, and which one where torch can tell."""
    if device.type == "cuda":
        return f"{device.type}: {torch.cuda.get_device_name(device)}"
    return f"{device.type}: {platform.machine()}"


@contextlib.contextmanager
def on_device(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Within it, modules compute on `device`; after it they are on the CPU again."""
    try:
        for module in modules:
            move(module, device)
        yield
    finally:
        for module in modules:
            move(module, CPU)


def move(module: nn.Module, device: torch.device) -> None:
    """In place. A graph from torch.export also makes tensors of its own, each on a device that was
    written down when it was captured."""
    module.to(device)
    if not isinstance(module, GraphModule):
        return
    makers = [
        node for node in module.graph.nodes if node.kwargs.get("device") not in (None, device)
    ]
    for node in makers:
        node.kwargs = {**node.kwargs, "device": device}
    if makers:
        module.recompile()
