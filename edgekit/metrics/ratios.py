"""Statistics made of sums over samples: roots, ratios, and means over classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.resampled import divided, mean_of_known, resampled
from edgekit.metrics.statistics import Material, Weights


def root_mean(material: Material, weights: Weights) -> NDArray[np.float64]:
    """The mean over the columns of the root of each one's mean. Of squared errors, one column for
    each output, it is RMSE as scikit-learn's root_mean_squared_error has it."""
    means = weights @ material / weights.sum(1, keepdims=True)
    return np.asarray(np.sqrt(means).mean(1))


def r_squared(material: Material, weights: Weights) -> NDArray[np.float64]:
    """The coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², its mean over the outputs (as
    scikit-learn's r2_score). The first half of the columns are the errors ŷ − y, the second half
    the targets y; NaN for an output whose targets are all equal."""
    errors, targets = np.split(material, 2, axis=1)
    # Numbers near their mean lose no digits when they are squared.
    targets = targets - targets.mean(0)
    count = weights.sum(1, keepdims=True)
    spread = weights @ targets**2 - (weights @ targets) ** 2 / count
    varied = spread > 1e-12 * (weights @ targets**2)
    unexplained = divided(weights @ errors**2, np.where(varied, spread, 0.0))
    return np.asarray(1 - unexplained.mean(1))


def mean_ratio(material: Material, weights: Weights) -> NDArray[np.float64]:
    """For each class the sum of its numerators over the sum of its denominators; of these, the mean
    over the classes whose denominators are not 0, in percent. The first half of the columns are
    numerators, the second half denominators, one for each class.

    Of intersections and unions of masks it is mIoU (Everingham et al., "The PASCAL Visual Object
    Classes Challenge: A Retrospective", IJCV 111, 2015, §3.3), of right pixels and all pixels the
    pixel accuracy, of 2·TP and 2·TP + FP + FN macro F1."""
    numerators, denominators = np.split(weights @ material, 2, axis=1)
    return 100 * mean_of_known(divided(numerators, denominators))


def class_mean(material: Material, weights: Weights) -> NDArray[np.float64]:
    """The mean over the classes of the mean within each, in percent. The columns are the class and
    the sample's value. Of right answers it is the balanced accuracy (Brodersen et al., "The
    balanced accuracy and its posterior distribution", ICPR 2010; scikit-learn's
    balanced_accuracy_score)."""
    return 100 * mean_of_known(_means_by_class(material, weights))


def class_min(material: Material, weights: Weights) -> NDArray[np.float64]:
    """As `class_mean`, but the mean within the worst class: of right answers its recall."""
    return np.asarray(100 * np.nanmin(_means_by_class(material, weights), axis=1))


def _means_by_class(material: Material, weights: Weights) -> NDArray[np.float64]:
    """For each resample and class: the mean of the values; NaN where the class was not drawn."""
    order = np.argsort(material[:, 0], kind="stable")
    _, starts = np.unique(material[order, 0], return_index=True)
    weights = weights[:, order]
    sums = np.add.reduceat(weights * material[order, 1], starts, axis=1)
    return divided(sums, np.add.reduceat(weights, starts, axis=1))


ROOT_MEAN = resampled(root_mean)
R_SQUARED = resampled(r_squared)
MEAN_RATIO = resampled(mean_ratio)
CLASS_MEAN = resampled(class_mean)
CLASS_MIN = resampled(class_min)
