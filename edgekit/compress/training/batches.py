"""Training batches: samples of a split, augmented, normalised and mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from edgekit.compress.training.augment import change_samples, mix_batch
from edgekit.data.dataset import Batch, Split, normalise
from edgekit.errors import ModelError


def preparation(
    train: Split, augment: Sequence[Any], *, labels_needed: bool
) -> Callable[[Batch], tuple[dict[str, Tensor], Tensor | None]]:
    """A function that augments and normalises a batch. It gives the inputs by name, and the targets
    (of mixed samples, probabilities of classes). Transforms change the first input.

    Raises ModelError: data without labels where they are needed, an unknown transform, transforms
    of series."""
    first = next(iter(train.specs))
    if augment and train.states:
        raise ModelError(
            "augment: samples of a model with a state are series, which are not changed",
            hint="leave augment out",
        )
    if not train.labelled and labels_needed:
        raise ModelError(
            "training needs labels, and this data has none",
            hint="distill from a teacher with weight: 1, or use data with labels",
        )
    change = change_samples(augment, train.take(slice(1)).inputs[first]) if augment else None
    mix = mix_batch(augment, train.class_count) if train.labelled else None
    if mix is not None and len(train.specs) > 1:
        raise ModelError("augment: samples of several inputs cannot be mixed")

    def prepared(batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        samples = dict(batch.inputs)
        if change is not None:
            samples[first] = change(samples[first])
        inputs, targets = normalise(samples, train.specs), batch.targets
        if mix is not None and targets is not None:
            inputs[first], targets = mix(inputs[first], targets)
        return inputs, targets

    return prepared
