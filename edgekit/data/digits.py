"""scikit-learn's 1,797 handwritten digits of 8×8 grey pixels, split by class and seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.data.source import Outline, Request, Source


def load(request: Request, *, test_fraction: float = 0.25) -> tuple[Any, ...]:
    """uint8 images padded with black to the input's size. Raises ModelError for a smaller input."""
    import numpy as np
    from sklearn.datasets import load_digits

    from edgekit.data.images import pad_to, stratified

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target
    train, test = stratified(labels, test_fraction, request.seed, "digits")
    images = pad_to(pixels, request.shape, "digits")
    classes = tuple(map(str, digits.target_names))
    return images[train], labels[train], images[test], labels[test], classes


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((1, 8, 8), classes=10)


DIGITS = Source(load=load, outline=outline, suppliers=("scikit-learn",))
