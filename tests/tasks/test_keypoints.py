"""Points: distances by hand, heat maps, hidden points, and targets that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.tasks.keypoints import Keypoints
from edgekit.tasks.scoring import Scores, agreement_percent

TASK = Keypoints(stride=4)
TARGETS = np.array(
    [
        [[0, 0, 1], [30, 40, 1], [9, 9, 0]],  # a diagonal of 50
        [[5, 5, 1], [0, 0, 0], [0, 0, 0]],  # no box: one point
    ],
    dtype=np.float32,
)
ANSWERED = np.array([[[0, 4], [30, 30], [0, 0]], [[0, 0]] * 3], dtype=float)


def test_errors_are_relative_to_the_box_of_the_visible_points() -> None:
    scores = Scores(TASK)
    scores.add({"points": ANSWERED}, TARGETS)
    nme, pck = scores.metrics()
    assert nme.value == pytest.approx(100 * (4 / 50 + 10 / 50) / 2)
    assert pck.value == 50


def test_heat_maps_are_read_within_a_quarter_of_a_cell() -> None:
    maps = np.zeros((1, 1, 6, 8))
    maps[0, 0, 2, 5] = 1
    maps[0, 0, 2, 6] = 0.5
    maps[0, 0, 1, 5] = 0.25
    np.testing.assert_allclose(TASK.points(maps), [[[4 * 5.75, 4 * 2.25]]])
    corner = np.zeros((1, 1, 6, 8))
    corner[0, 0, 0, 7] = 1
    x, y = TASK.points(corner)[0, 0]
    assert (28 <= x <= 32, 0 <= y <= 4) == (True, True)


def test_agreement_is_of_points_near_each_other() -> None:
    other = ANSWERED + np.array([[0, 0], [0, 9], [0, 1]])
    assert agreement_percent(TASK, {"a": ANSWERED[:1]}, {"b": other[:1]}) == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((0, 0, 0, np.nan), "sample 0: it has a NaN"),
        ((0, 1, 2, 0.5), "sample 0: visible is 0 or 1"),
        ((1, 0, 0, -3), "sample 1: a visible point is left of or above"),
        ((1, 0, 1, 25), "sample 1: a visible point is outside the 32 x 24 pixels"),
    ],
)
def test_targets_that_do_not_fit(change: tuple[int, int, int, float], words: str) -> None:
    *place, value = change
    targets = np.minimum(TARGETS, 20)
    TASK.check_targets(targets, {"maps": (3, 6, 8)})
    targets[tuple(place)] = value
    with pytest.raises(ModelError, match=words):
        TASK.check_targets(targets, {"maps": (3, 6, 8)})


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="3 points a sample, and the model returns 4"):
        TASK.check_targets(TARGETS, {"points": (4, 2)})
    with pytest.raises(ModelError, match="needs heat maps"):
        TASK.check_targets(TARGETS, {"points": (6,)})
    with pytest.raises(ModelError, match=r"shape \(samples, points, 3\)"):
        TASK.check_targets(TARGETS[..., :2], {})


@pytest.mark.torch
def test_the_loss_is_least_at_the_truth() -> None:
    import torch

    targets = torch.tensor(np.minimum(TARGETS, 20))
    peaks = TASK._peaks(targets, torch.zeros(2, 3, 6, 8))
    assert float(TASK.loss({"maps": peaks}, targets)) == 0
    assert 0.5 < float(TASK.loss({"maps": torch.zeros_like(peaks)}, targets)) < 1.1
    decoded = TASK.points(peaks.numpy())
    visible = targets[..., 2].numpy() > 0
    assert np.abs(decoded - targets[..., :2].numpy())[visible].max() <= 2
    points = targets[..., :2]
    assert float(TASK.loss({"points": points}, targets)) == 0
    moved = points.clone()
    moved[0, 2] += 5  # hidden
    assert float(TASK.loss({"points": moved}, targets)) == 0
    moved[0, 0] += 5
    assert float(TASK.loss({"points": moved}, targets)) > 0
    assert float(TASK.distillation_loss({"a": peaks}, {"a": peaks}, 1.0)) == 0
