"""Several classes a sample: scores by hand, and targets that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.tasks.multilabel import MULTILABEL
from edgekit.tasks.scoring import Scores, agreement_percent

LOGITS = np.array([[2.0, -1.0], [1.0, 3.0], [-2.0, 1.0]])
TARGETS = np.array([[1, 0], [0, 1], [0, 1]])


def test_f1_and_average_precision_by_hand() -> None:
    scores = Scores(MULTILABEL)
    scores.add({"scores": LOGITS}, TARGETS)
    precision, f1 = scores.metrics()
    assert (precision.label, precision.value) == ("mAP", 100)
    assert f1.value == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_a_single_class_has_an_area_under_its_curve() -> None:
    """Of the four pairs of a positive and a negative sample, one is in the wrong order."""
    scores = Scores(MULTILABEL)
    scores.add({"scores": np.array([[2.0], [-1.0], [1.0], [0.0]])}, np.array([[1], [0], [0], [1]]))
    assert {metric.name: metric.value for metric in scores.metrics()}["roc_auc"] == 75


def test_agreement_is_the_share_of_classes() -> None:
    other = LOGITS * [[1, 1], [1, -1], [1, 1]]
    assert agreement_percent(MULTILABEL, {"a": LOGITS}, {"b": other}) == pytest.approx(500 / 6)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([[0, 1], [0, 2]]), "sample 1: each class is 0 or 1"),
        (np.array([[0.5, 1.0]]), "target: each class is 0 or 1"),
        (np.array([[np.nan, 1.0]]), "target: each class is 0 or 1"),
        (np.array([1, 0]), r"shape \(samples, classes\)"),
        (np.array([[0, 1, 1]]), r"\(3,\) labels a sample, and the model returns \(2,\)"),
    ],
)
def test_targets_that_do_not_fit(targets: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        MULTILABEL.check_targets(targets, {"scores": (2,)})
    MULTILABEL.check_targets(TARGETS, {"scores": (2,)})


def test_classes() -> None:
    assert MULTILABEL.classes_of({"scores": (7,)}) == 7
    assert MULTILABEL.classes_of({"dense": (7, 8, 8)}) is None


@pytest.mark.torch
def test_losses() -> None:
    import torch

    logits = torch.tensor(LOGITS)
    loss = MULTILABEL.loss({"a": logits}, torch.tensor(TARGETS))
    p = logits.sigmoid()
    y = torch.tensor(TARGETS)
    torch.testing.assert_close(loss, -(y * p.log() + (1 - y) * (1 - p).log()).mean())
    same = MULTILABEL.distillation_loss({"a": logits}, {"a": logits}, 2.0)
    assert same < MULTILABEL.distillation_loss({"a": logits}, {"a": -logits}, 2.0)
    with pytest.raises(ModelError, match="label_smoothing is for"):
        MULTILABEL.loss({"a": logits}, y, label_smoothing=0.1)
