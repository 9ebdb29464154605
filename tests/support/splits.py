"""Splits with one input, written down in one line."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from edgekit.data.dataset import ArraySplit, Split
from edgekit.data.source import InputSpec


def one_input(
    shape: tuple[int, ...],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> dict[str, InputSpec]:
    """The inputs of a recipe with one of them."""
    return {
        "input": InputSpec(
            shape,
            mean=None if mean is None else tuple(mean),
            std=None if std is None else tuple(std),
        )
    }


def one_input_split(
    inputs: Tensor,
    targets: Tensor | None,
    shape: tuple[int, ...],
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> ArraySplit:
    return ArraySplit({"input": inputs}, targets, one_input(shape, mean=mean, std=std))


def only(samples: dict[str, Tensor]) -> Tensor:
    """The tensor of the one input."""
    [tensor] = samples.values()
    return tensor


def arrays(split: Split) -> ArraySplit:
    """A split that is in memory."""
    assert isinstance(split, ArraySplit)
    return split


def targets(split: Split) -> Tensor:
    """The targets of a split that is in memory."""
    values = arrays(split).targets
    assert values is not None
    return values
