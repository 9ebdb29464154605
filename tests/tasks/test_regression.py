"""Numbers: errors by hand, arguments, and targets that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import NamedTask
from edgekit.errors import ModelError
from edgekit.tasks.regression import Regression
from edgekit.tasks.scoring import Scores, agreement_percent
from edgekit.tasks.task import load_task, task_fingerprint

PREDICTED = np.array([[1.0], [2.0], [5.0]])
TARGETS = np.array([1.0, 3.0, 3.0], dtype=np.float32)


def test_errors_by_hand() -> None:
    scores = Scores(Regression(unit="mm"))
    scores.add({"y": PREDICTED[:2]}, TARGETS[:2])
    scores.add({"y": PREDICTED[2:]}, TARGETS[2:])
    mae, rmse, r2 = scores.metrics()
    assert (mae.value, mae.unit) == (1.0, "mm")
    assert rmse.value == pytest.approx((5 / 3) ** 0.5)
    assert r2.value == pytest.approx(1 - 5 / (8 / 3))


def test_a_constant_target_has_no_r_squared() -> None:
    scores = Scores(Regression())
    scores.add({"y": PREDICTED}, np.full(3, 2.0))
    assert [metric.name for metric in scores.metrics()] == ["mae", "rmse"]


def test_agreement_is_within_the_tolerance() -> None:
    near = {"y": PREDICTED + np.array([[0.4], [0.6], [0.5]])}
    assert agreement_percent(Regression(), {"y": PREDICTED}, near) is None
    within = Regression(unit="mm", tolerance=0.5)
    assert agreement_percent(within, {"y": PREDICTED}, near) == pytest.approx(200 / 3)
    assert (within.agreement_label, within.metrics[0].gate_margin) == ("within 0.5 mm", 0.5)


def test_a_recipe_gives_its_arguments() -> None:
    task = NamedTask(name="regression", args={"unit": "mg/dl", "tolerance": 5})
    assert load_task(task) == Regression(unit="mg/dl", tolerance=5.0)
    assert load_task("regression") == Regression()


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("regression", {"units": "mm"}, "unexpected keyword argument 'units'"),
        ("regression", {"tolerance": -1}, "'regression': tolerance: Input should be greater"),
        ("regression", {"tolerance": "wide"}, "'regression': tolerance: Input should be a valid"),
        ("classification", {"top": 3}, "'classification' takes no arguments"),
    ],
)
def test_wrong_arguments(name: str, args: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load_task(NamedTask(name=name, args=args))


def test_arguments_change_the_fingerprint(tmp_path: Any) -> None:
    tasks = [NamedTask(name="regression", args=args) for args in ({}, {"unit": "m"}, {"unit": "s"})]
    assert len({task_fingerprint(task, tmp_path) for task in tasks}) == 3
    assert task_fingerprint(NamedTask(name="regression"), tmp_path) == task_fingerprint(
        "regression", tmp_path
    )


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([1.0, np.nan]), "sample 1: it is NaN or infinite"),
        (np.array([[1.0, 2.0]]), "2 numbers a sample, and the model returns 1"),
        (np.zeros((2, 2, 2)), r"\(samples, outputs\)"),
    ],
)
def test_targets_that_do_not_fit(targets: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Regression().check_targets(targets, {"y": (1,)})
    Regression().check_targets(TARGETS, {"y": (1,)})


@pytest.mark.torch
def test_losses() -> None:
    import torch

    task = Regression()
    predicted, targets = torch.tensor([[0.5], [4.0]]), torch.tensor([0.0, 1.0])
    assert float(task.loss({"y": predicted}, targets)) == pytest.approx((0.125 + 2.5) / 2)
    assert float(task.loss({"y": predicted[:, 0]}, targets)) == pytest.approx((0.125 + 2.5) / 2)
    assert float(task.distillation_loss({"y": predicted}, {"y": predicted}, 1.0)) == 0
    with pytest.raises(ModelError, match="2 numbers a sample"):
        task.loss({"y": predicted}, torch.zeros(2, 2))


def test_a_target_that_does_not_suit_is_numbered_over_all_chunks() -> None:
    scores = Scores(Regression())
    outputs = {"y": np.zeros((3, 1), np.float32)}
    scores.add(outputs, np.zeros((3, 1), np.float32))
    with pytest.raises(ModelError, match=r"^sample 4: target: "):
        scores.add(outputs, np.array([[0], [np.nan], [0]], np.float32))
