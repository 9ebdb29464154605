"""Statistics of scores and labels that depend on the order of the scores only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.resampled import divided, mean_of_known, resampled
from edgekit.metrics.statistics import Material, Weights


def average_precision(material: Material, weights: Weights) -> NDArray[np.float64]:
    """The mean over the classes with a positive label of Σ (Rₙ − Rₙ₋₁) Pₙ over the thresholds, in
    percent: scikit-learn's average_precision_score with average="macro" (Zhu, "Recall, precision
    and average precision", 2004). The first half of the columns are scores, the second half labels
    of 0 or 1, one for each class."""
    scores, labels = np.split(material, 2, axis=1)
    by_class = np.stack(
        [_class_precision(*pair, weights) for pair in zip(scores.T, labels.T, strict=True)], 1
    )
    return 100 * mean_of_known(by_class)


def _class_precision(
    scores: NDArray[np.float64], labels: NDArray[np.float64], weights: Weights
) -> NDArray[np.float64]:
    """The average precision of one class; NaN without a positive label."""
    order, ends = _ranked(-scores)
    weights = weights[:, order]
    right = np.cumsum(weights * labels[order], axis=1)[:, ends]
    taken = np.cumsum(weights, axis=1)[:, ends]
    precision = right / np.maximum(taken, 1)
    gained = np.diff(right, axis=1, prepend=0.0)
    return divided((precision * gained).sum(1), right[:, -1])


def roc_auc(material: Material, weights: Weights) -> NDArray[np.float64]:
    """The area under the ROC curve, in percent: how often a positive sample has a higher score than
    a negative one, equal scores counting half (Hanley & McNeil, Radiology 143, 1982). The columns
    are the score and the label of 0 or 1; NaN without samples of both."""
    scores, labels = material.T
    order, ends = _ranked(scores)
    weights = weights[:, order]
    positive, negative = (
        np.diff(np.cumsum(weights * part, axis=1)[:, ends], axis=1, prepend=0.0)
        for part in (labels[order], 1 - labels[order])
    )
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(1) * negative.sum(1)
    return 100 * divided((positive * below).sum(1), pairs)


def _ranked(keys: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order of rising keys, and where in it each group of equal ones ends."""
    order = np.argsort(keys, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(keys[order])), len(keys) - 1)
    return order, ends


AVERAGE_PRECISION = resampled(average_precision)
ROC_AUC = resampled(roc_auc)
