"""Crops of scikit-learn's two photographs, a temple and a flower: real pixels without labels, for
calibration and label-free checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.data.source import Outline, Request, Source, times
from edgekit.errors import ModelError


def load(request: Request, *, train: int = 256, test: int = 64) -> tuple[Any, ...]:
    """Random crops of 20 to 100 % of a photograph, resized, flipped or not, with changed light and
    colour. Raises ModelError for an input without 3 channels."""
    import torch
    from sklearn.datasets import load_sample_images
    from torchvision.transforms import v2

    if len(request.shape) != 3 or request.shape[0] != 3:
        raise ModelError(
            "data sample_photos: the photographs have 3 channels, but the recipe's input is"
            f" {times(request.shape)}"
        )
    photos = [
        torch.tensor(photo).permute(2, 0, 1).contiguous() for photo in load_sample_images().images
    ]
    vary = v2.Compose(
        [
            v2.RandomResizedCrop(request.shape[1:], scale=(0.2, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        crops = torch.stack([vary(photos[i % 2]) for i in range(train + test)])
    return crops[:train], None, crops[train:], None, ()


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((3, 224, 224), classes=1000, labelled=False)  # for networks of ImageNet


SAMPLE_PHOTOS = Source(load=load, outline=outline, suppliers=("scikit-learn", "pillow"))
