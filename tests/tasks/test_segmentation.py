"""Masks: scores by hand, resizing as torch does it, and masks that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.sample_steps.decoding.masks import resized
from edgekit.tasks.scoring import Scores, agreement_percent
from edgekit.tasks.segmentation import SEGMENTATION


def scores_of(masks: np.ndarray, classes: int) -> np.ndarray:
    return np.moveaxis(np.eye(classes)[masks], -1, 1)


PREDICTED = np.array([[[0, 0], [1, 1]], [[1, 1], [1, 1]]])
MASKS = np.array([[[0, 1], [1, 1]], [[1, 1], [255, 255]]])


def test_miou_and_pixel_accuracy_by_hand() -> None:
    scores = Scores(SEGMENTATION)
    for row in (0, 1):
        scores.add({"out": scores_of(PREDICTED[[row]], 3)}, MASKS[[row]])
    miou, pixels = scores.metrics(keep_samples=True)
    assert miou.value == pytest.approx(100 * (1 / 2 + 4 / 5) / 2)  # class 2 is nowhere
    assert pixels.value == pytest.approx(100 * 5 / 6)
    assert miou.columns == 6


def test_the_whole_set_is_scikit_learns_jaccard() -> None:
    from sklearn import metrics

    generator = np.random.default_rng(0)
    masks = generator.integers(0, 4, (30, 8, 8))
    predicted = np.where(generator.random(masks.shape) < 0.7, masks, 0)
    scores = Scores(SEGMENTATION)
    scores.add({"out": scores_of(predicted, 4)}, masks)
    miou = scores.metrics()[0]
    expected = metrics.jaccard_score(masks.ravel(), predicted.ravel(), average="macro")
    assert miou.value == pytest.approx(100 * expected)
    assert miou.low is not None
    assert miou.low < miou.value


@pytest.mark.torch
@pytest.mark.parametrize("size", [(16, 12), (4, 5), (7, 6), (9, 9)])
def test_scores_are_resized_as_torch_does(size: tuple[int, int]) -> None:
    import torch
    from torch.nn import functional

    scores = np.random.default_rng(0).normal(size=(3, 7, 6))
    expected = functional.interpolate(torch.tensor(scores)[None], size, mode="bilinear")[0]
    np.testing.assert_allclose(resized(scores, size), expected.numpy(), atol=1e-12)


def test_smaller_scores_are_judged_at_the_masks_size() -> None:
    masks = np.kron(np.array([[[0, 1], [1, 0]]]), np.ones((1, 4, 4), dtype=int))
    scores = Scores(SEGMENTATION)
    scores.add({"out": scores_of(masks[:, ::4, ::4], 2)}, masks)
    assert scores.metrics()[1].value > 85


def test_agreement_is_the_share_of_pixels() -> None:
    first, other = (scores_of(masks, 3) for masks in (PREDICTED, PREDICTED[::-1]))
    assert agreement_percent(SEGMENTATION, {"a": first}, {"b": other}) == 50


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.array([[[0]], [[3]]]), "sample 1: it has a class beyond the 3"),
        (np.array([[[0]], [[-1]]]), "sample 1: a class is from 0 to 254"),
        (np.array([[[0.0]]]), "float64 of"),
        (np.array([0, 1]), r"shape \(samples, H, W\)"),
    ],
)
def test_masks_that_do_not_fit(masks: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        SEGMENTATION.check_targets(masks, {"out": (3, 2, 2)})
    SEGMENTATION.check_targets(MASKS, {"out": (3, 2, 2)})


def test_outputs_that_are_no_scores() -> None:
    with pytest.raises(ModelError, match=r"needs \(classes, h, w\)"):
        SEGMENTATION.check_targets(MASKS, {"out": (3,)})
    assert SEGMENTATION.classes_of({"out": (3, 2, 2)}) == 3
    assert SEGMENTATION.classes_of({"out": (3,)}) is None


@pytest.mark.torch
def test_losses_leave_ignored_pixels_out() -> None:
    import torch
    from torch.nn import functional

    scores = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    masks = torch.tensor(MASKS)
    expected = functional.cross_entropy(scores, masks, ignore_index=255)
    torch.testing.assert_close(SEGMENTATION.loss({"a": scores}, masks), expected)
    nothing = SEGMENTATION.loss({"a": scores}, torch.full_like(masks, 255))
    assert float(nothing) == 0
    assert SEGMENTATION.distillation_loss({"a": scores}, {"a": scores}, 2.0).abs() < 1e-6
    with pytest.raises(ModelError, match="class 7, and the model returns 3"):
        SEGMENTATION.loss({"a": scores}, torch.full_like(masks, 7))
