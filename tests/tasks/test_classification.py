"""Scores by hand: ties, few classes, outputs that are no classes, and targets that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.tasks.classification import CLASSIFICATION
from edgekit.tasks.scoring import Agreement, Scores, agreement_percent
from edgekit.tasks.task import load_task

SCORES = np.array([[3, 1, 0], [1, 3, 0], [-1, -2, 0], [2, 2, 0]], dtype=np.float32)


def test_it_is_in_the_table() -> None:
    assert load_task("classification") is CLASSIFICATION
    with pytest.raises(ModelError, match="no task 'clasification'") as caught:
        load_task("clasification")
    assert "classification" in caught.value.hint


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(ModelError, match="a str, which is no task"):
        load_task("edgekit.version:__version__")


def test_a_tie_goes_to_the_first_class() -> None:
    scored = CLASSIFICATION.score({"logits": SCORES}, np.array([0, 0, 2, 1]))
    assert list(scored) == ["top1", "balanced_accuracy", "worst_class_recall"]
    assert scored["top1"].tolist() == [True, False, True, False]


def test_the_first_five_of_more_classes() -> None:
    scores = np.tile(np.arange(7.0), (3, 1))
    scored = CLASSIFICATION.score({"logits": scores}, np.array([6, 2, 1]))
    assert scored["top1"].tolist() == [True, False, False]
    assert scored["top5"].tolist() == [True, True, False]


def test_chunks_are_scored_together() -> None:
    scores = Scores(CLASSIFICATION)
    scores.add({"logits": SCORES[:3]}, np.array([0, 0, 2]))
    scores.add({"logits": SCORES[3:]}, np.array([0]))
    top1, balanced, worst = scores.metrics(keep_samples=True)
    assert (balanced.value, worst.value) == (pytest.approx(500 / 6), pytest.approx(200 / 3))
    assert (top1.name, top1.value, top1.right, top1.samples) == ("top1", 75.0, 3, 4)
    assert top1.material() is not None


def test_agreement_is_the_same_top_class() -> None:
    other = SCORES.copy()
    other[0] = [0, 1, 0]
    agreement = Agreement(CLASSIFICATION)
    agreement.add({"a": SCORES[:2]}, {"b": other[:2]})
    agreement.add({"a": SCORES[2:]}, {"b": other[2:]})
    assert agreement.percent == 75
    assert Agreement(CLASSIFICATION).percent is None


@pytest.mark.parametrize("shape", [(4, 1), (4, 3, 8, 8), (4,)])
def test_outputs_that_are_no_classes_have_no_metrics(shape: tuple[int, ...]) -> None:
    outputs = {"dense": np.zeros(shape)}
    CLASSIFICATION.check_targets(np.array([5, 0, 0, 0]), {"dense": shape[1:]})
    assert CLASSIFICATION.score(outputs, np.zeros(4, dtype=int)) == {}
    assert agreement_percent(CLASSIFICATION, outputs, outputs) is None


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([0, 3]), "class 3, but the model only 3 outputs"),
        (np.array([0, -1]), "one class number"),
        (np.array([0.5, 1.0]), "one class number"),
        (np.array([[0], [1]]), "one class number"),
    ],
)
def test_targets_that_do_not_fit(targets: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        CLASSIFICATION.check_targets(targets, {"logits": (3,)})
    CLASSIFICATION.check_targets(np.array([0, 2]), {"logits": (3,)})


@pytest.mark.torch
def test_distillation_loss_is_hintons() -> None:
    import torch
    from torch.nn import functional

    student, teacher = (
        torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    p, q = (functional.softmax(logits / 3.0, dim=1) for logits in (teacher, student))
    expected = 9.0 * (p * (p / q).log()).sum(dim=1).mean()
    loss = CLASSIFICATION.distillation_loss({"a": student}, {"a": teacher}, 3.0)
    torch.testing.assert_close(loss, expected)
    assert CLASSIFICATION.distillation_loss({"a": student}, {"a": student}, 3.0).abs() < 1e-6
    with pytest.raises(ModelError, match="the teacher returns"):
        CLASSIFICATION.distillation_loss({"a": student}, {"a": teacher[:, :3]}, 3.0)


@pytest.mark.parametrize(
    ("shape", "classes"), [((10,), 10), ((1,), None), ((), None), ((3, 8, 8), None)]
)
def test_how_many_classes_a_model_tells_apart(shape: tuple[int, ...], classes: int | None) -> None:
    assert CLASSIFICATION.classes_of({"scores": shape}) == classes
