"""The layout in memory that a model of images trains fastest in."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from edgekit.data.dataset import Split


@contextlib.contextmanager
def image_layout(modules: Sequence[nn.Module], train: Split) -> Iterator[torch.memory_format]:
    """Within it, models of images hold their weights with the channels last, which convolutions on
    a CPU prefer; the layout of a batch is given.

    Models that cannot run so (`view` of a feature map) stay as they are.
    """
    if not _is_of_images(train) or not all(
        _runs_channels_last(module, train) for module in modules
    ):
        yield torch.contiguous_format
        return
    try:
        for module in modules:
            module.to(memory_format=torch.channels_last)
        yield torch.channels_last
    finally:
        for module in modules:
            module.to(memory_format=torch.contiguous_format)


def _is_of_images(split: Split) -> bool:
    return not split.states and all(len(spec.shape) == 3 for spec in split.specs.values())


def _runs_channels_last(module: nn.Module, train: Split) -> bool:
    # Running a model changes its observers and batch norms: a copy of it is tried.
    probe = copy.deepcopy(module).to(memory_format=torch.channels_last)
    example = train.at(torch.tensor([0, len(train) - 1])).values()
    try:
        with torch.no_grad():
            probe(*(values.contiguous(memory_format=torch.channels_last) for values in example))
    except RuntimeError:
        return False
    return True
