"""Training batches: rows of a split, augmented, normalised and mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from edgekit.compress.training.augment import change_samples, mix_batch
from edgekit.data.dataset import Split
from edgekit.errors import ModelError


def batches_of(
    train: Split, augment: Sequence[Any], *, labels_needed: bool
) -> Callable[[Tensor], tuple[dict[str, Tensor], Tensor | None]]:
    """A function from rows to an augmented, normalised batch by input name, and its targets (of
    mixed samples, probabilities of classes). Transforms change the first input.

    Raises ModelError: data without labels where they are needed, an unknown transform."""
    labels = train.targets
    first = next(iter(train.inputs))
    if labels is None and labels_needed:
        raise ModelError(
            "training needs labels, and this data has none",
            hint="distill from a teacher with weight: 1, or use data with labels",
        )
    change = change_samples(augment, train.inputs[first][:1])
    mix = None if labels is None else mix_batch(augment, _classes(labels))
    if mix is not None and len(train.inputs) > 1:
        raise ModelError("augment: samples of several inputs cannot be mixed")

    def batch(rows: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        samples = train.rows(rows)
        if change is not None:
            samples[first] = change(samples[first])
        inputs = train.normalise(samples)
        targets = None if labels is None else labels[rows]
        if mix is not None and targets is not None:
            inputs[first], targets = mix(inputs[first], targets)
        return inputs, targets

    return batch


def _classes(labels: Tensor) -> int:
    """How many classes labels are of; 0 for targets that are no class numbers."""
    return 0 if labels.is_floating_point() or labels.ndim > 1 else int(labels.max()) + 1
