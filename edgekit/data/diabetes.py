"""scikit-learn's diabetes data (Efron et al. 2004, doi:10.1214/009053604000000067): age, sex, body
mass index, blood pressure and six blood values of 442 patients, and how far the disease had gone a
year later, a number from 25 to 346. Split by seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.data.source import Outline, Request, Source, times
from edgekit.errors import ModelError

FEATURES = 10


def load(request: Request, *, test_fraction: float = 0.25) -> tuple[Any, ...]:
    """The ten numbers of each patient as they were measured: `mean` and `std` of the recipe's input
    normalise them. Raises ModelError for an input of another shape."""
    import numpy as np
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    if request.shape != (FEATURES,):
        raise ModelError(
            f"data diabetes: a sample is {FEATURES} numbers, but the recipe's input is"
            f" {times(request.shape)}"
        )
    diabetes = load_diabetes(scaled=False)
    features = diabetes.data.astype(np.float32)
    progression = diabetes.target.astype(np.float32)
    train, test = train_test_split(
        np.arange(len(features)), test_size=test_fraction, random_state=request.seed
    )
    return features[train], progression[train], features[test], progression[test]


def outline(args: Mapping[str, Any], base: Path) -> Outline:
    return Outline((FEATURES,), task="regression")


DIABETES = Source(load=load, outline=outline, suppliers=("scikit-learn",))
