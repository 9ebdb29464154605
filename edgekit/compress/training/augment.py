"""Augmentation of training batches by torchvision's transforms v2. Owns looking transforms up by
name and how often they draw; MixUp and CutMix mix the normalised batch, all others change raw
samples (pixels in 0…255), before normalisation."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgekit.errors import ModelError

DRAW = 4
"""Samples of a batch that share one random draw of a transform. A draw for each would cost more
than 5 % of a small network's step."""

MIXING = ("MixUp", "CutMix")

Spec = str | Mapping[str, Mapping[str, Any]]


def change_samples(augment: Sequence[Spec], example: Tensor) -> Callable[[Tensor], Tensor] | None:
    """A function of raw samples that applies the transforms other than MixUp and CutMix in order;
    None when there are none.

    `example` is a batch of such samples. Raises ModelError: unknown transform (with suggestions),
    wrong arguments (with the signature), one that fails on such samples or changes their shape."""
    transforms = [
        (name, _transform(name, args)) for name, args in _entries(augment) if name not in MIXING
    ]
    if not transforms:
        return None

    def change(samples: Tensor) -> Tensor:
        groups = []
        for group in samples.split(DRAW):
            for name, transform in transforms:
                group = _applied(name, transform, group)
            groups.append(group)
        return torch.cat(groups)

    with torch.random.fork_rng(devices=[]):
        before, after = tuple(example.shape[1:]), tuple(change(example).shape[1:])
    if after != before:
        raise ModelError(
            f"augment makes samples of {after} out of {before}",
            hint="end with a crop or resize to the input's size",
        )
    return change


def mix_batch(
    augment: Sequence[Spec], classes: int
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """A function of a normalised batch and its labels that applies one of the MixUp and CutMix
    named, drawn anew each time; None when there are none.

    It returns the batch and class probabilities of shape (B, classes). MixUp: Zhang et al. 2018,
    arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899."""
    mixes = [
        _transform(name, {**args, "num_classes": classes})
        for name, args in _entries(augment)
        if name in MIXING
    ]
    if not mixes:
        return None
    if classes == 0:
        raise ModelError("augment: samples can be mixed where their targets are class numbers")

    def mix(batch: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        chosen = mixes[int(torch.randint(len(mixes), ()))]
        mixed, probabilities = chosen(batch, labels)
        return mixed, probabilities

    return mix


def _entries(augment: Sequence[Spec]) -> list[tuple[str, Mapping[str, Any]]]:
    named = [{entry: {}} if isinstance(entry, str) else entry for entry in augment]
    return [(name, args) for entry in named for name, args in entry.items()]


def _transform(name: str, args: Mapping[str, Any]) -> Callable[..., Any]:
    from torchvision.transforms import v2  # a second, and most trainings of tests need none

    known = {
        key
        for key, value in vars(v2).items()
        if inspect.isclass(value) and issubclass(value, v2.Transform)
    } - {"Transform"}
    if name not in known:
        near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "names are those of torchvision.transforms.v2"
        )
        raise ModelError(f"augment: there is no transform {name!r}", hint=hint)
    kind = getattr(v2, name)
    try:
        return kind(**args)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"augment: {name}: {error}", hint=f"it takes {name}{_signature(kind)}"
        ) from None


def _signature(kind: type) -> str:
    return str(inspect.signature(kind)).replace(" -> None", "")


def _applied(name: str, transform: Callable[..., Any], samples: Tensor) -> Tensor:
    try:
        changed = transform(samples)
    except Exception as error:  # transforms raise what they like for samples they cannot take
        raise ModelError(
            f"augment: {name} fails on samples of {tuple(samples.shape[1:])}: {error}"
        ) from None
    if not isinstance(changed, Tensor):
        raise ModelError(f"augment: {name} returns {type(changed).__name__}, not a tensor")
    return changed
