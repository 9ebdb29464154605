"""Vectors: recall over the whole set by hand, however they arrive, and targets that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.tasks.embedding import Embedding
from edgekit.tasks.scoring import Scores, agreement_percent

TASK = Embedding()
ANGLES = np.deg2rad([0, 5, 90, 100, 12, 300])
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1) * [[3], [1], [2], [1], [1], [1]]
CLASSES = np.array([0, 0, 1, 1, 1, 7])  # the last is alone


@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_recall_over_the_whole_set(chunk: int) -> None:
    scores = Scores(TASK)
    for start in range(0, 6, chunk):
        rows = slice(start, start + chunk)
        scores.add({"vectors": VECTORS[rows]}, CLASSES[rows])
    recall1, recall5, cosine = scores.metrics()
    # 90 and 100 degrees find each other, 0 finds 5; 5 (at 5 degrees) finds 0; 12 finds 5.
    assert (recall1.samples, recall1.right) == (5, 4)
    assert recall5.value == 100
    pairs = [[5], [5], [10, 78], [10, 88], [78, 88]]
    expected = [float(np.cos(np.deg2rad(pair)).mean()) for pair in pairs]
    assert cosine.value == pytest.approx(np.mean(expected), abs=1e-6)


def test_the_nearest_are_scikit_learns() -> None:
    from sklearn import neighbors

    generator = np.random.default_rng(0)
    classes = generator.integers(0, 5, 200)
    vectors = generator.normal(size=(5, 8))[classes] + generator.normal(size=(200, 8))
    scores = Scores(TASK)
    scores.add({"vectors": vectors}, classes)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, nearest = neighbors.NearestNeighbors(n_neighbors=6).fit(unit).kneighbors(unit)
    hits = classes[nearest[:, 1:]] == classes[:, None]
    recall1, recall5, _ = scores.metrics()
    assert recall1.value == pytest.approx(100 * hits[:, 0].mean())
    assert recall5.value == pytest.approx(100 * hits.any(1).mean())


def test_samples_without_another_of_their_class_have_no_metrics() -> None:
    scores = Scores(TASK)
    scores.add({"vectors": VECTORS}, np.arange(6))
    assert scores.metrics() == ()


def test_agreement_is_the_same_direction() -> None:
    turned = VECTORS.copy()
    turned[0] = [0, 1]
    assert agreement_percent(TASK, {"a": VECTORS}, {"b": 2 * turned}) == pytest.approx(500 / 6)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([0, -1]), "sample 1: class numbers start from 0"),
        (np.array([0.0, 1.0]), "class numbers of shape"),
        (np.array([[0], [1]]), "class numbers of shape"),
    ],
)
def test_targets_that_do_not_fit(targets: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        TASK.check_targets(targets, {"vectors": (8,)})
    TASK.check_targets(CLASSES, {"vectors": (8,)})
    with pytest.raises(ModelError, match="needs one vector"):
        TASK.check_targets(CLASSES, {"vectors": (8, 4, 4)})


@pytest.mark.torch
def test_the_loss_pulls_a_class_together() -> None:
    import torch

    classes = torch.tensor([0, 0, 1, 1])
    together = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    apart = together[[0, 2, 1, 3]]
    near, far = (float(TASK.loss({"v": v}, classes)) for v in (together, apart))
    assert near < 0.01
    assert far > 5
    assert float(TASK.loss({"v": together}, torch.arange(4))) == 0
    wider = torch.cat([together, torch.zeros(4, 3)], 1)
    assert float(TASK.distillation_loss({"v": together}, {"v": wider}, 1.0)) == 0
