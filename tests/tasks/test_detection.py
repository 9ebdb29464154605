"""Detection: decoding as torchvision's, matching and average precision as faster-coco-eval's, and
targets that do not fit."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import NamedTask
from edgekit.errors import ModelError, UsageError
from edgekit.installing import install_command
from edgekit.metrics.detection import average_precision
from edgekit.sample_steps.decoding.boxes import overlaps, without_overlap
from edgekit.tasks.detection import Detection
from edgekit.tasks.matching import coco_evaluation, match_records
from edgekit.tasks.scoring import Scores, agreement_percent
from edgekit.tasks.task import load_task

ARGS: dict[str, Any] = {
    "image": [24, 32],
    "grids": [[3, 4], [1, 1]],
    "anchors": [[[8, 8]], [[6, 24], [24, 12]]],
}
TASK = Detection(**ARGS)
TARGETS = np.array(
    [
        [[0, 0, 0, 8, 8], [1, 4, 6, 28, 18]],
        [[1, 8, 16, 16, 24], [-1, 0, 0, 0, 0]],
        [[-1, 0, 0, 0, 0], [-1, 0, 0, 0, 0]],
    ],
    dtype=np.float32,
)


def perfect(targets: np.ndarray = TARGETS) -> dict[str, np.ndarray]:
    """Outputs that see what the targets say: each of these boxes is an anchor."""
    scores = np.zeros((len(targets), 14, 3))
    scores[..., 0] = 9
    for image, rows in enumerate(targets):
        for number, *box in rows[rows[:, 0] >= 0]:
            [anchor] = np.flatnonzero((TASK.anchor_boxes == box).all(1))
            scores[image, anchor] = 0
            scores[image, anchor, int(number) + 1] = 9
    return {"boxes": np.zeros((len(targets), 14, 4)), "scores": scores}


def test_a_recipe_names_it_with_arguments() -> None:
    assert load_task(NamedTask(name="detection", args=ARGS)) == TASK
    assert TASK.classes_of({"boxes": (14, 4), "scores": (14, 3)}) == 2
    with pytest.raises(ModelError, match="missing a required argument: 'image'"):
        load_task("detection")
    with pytest.raises(ModelError, match="anchors: 1 lists for 2 grids"):
        load_task(NamedTask(name="detection", args=ARGS | {"anchors": [[[8, 8]]]}))


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_perfect_detector(chunk: int) -> None:
    scores = Scores(TASK)
    outputs = perfect()
    for start in range(0, 3, chunk):
        rows = slice(start, start + chunk)
        scores.add({name: values[rows] for name, values in outputs.items()}, TARGETS[rows])
    map50, map50_95 = scores.metrics(keep_samples=True)
    assert (map50.value, map50_95.value) == (pytest.approx(100), pytest.approx(100))
    assert map50.columns < 3 * 102  # only columns that some image fills are kept


def random_scene(seed: int, images: int = 40) -> tuple[list[np.ndarray], list[np.ndarray]]:
    generator = np.random.default_rng(seed)

    def boxes(count: int) -> np.ndarray:
        corner = generator.uniform(0, 60, (count, 2))
        return np.concatenate([corner, corner + generator.uniform(8, 30, (count, 2))], 1)

    detections, objects = [], []
    for _ in range(images):
        n, m = (int(generator.integers(0, most)) for most in (5, 6))
        truth = np.column_stack([generator.integers(0, 3, n), boxes(n)])
        near = truth[:, 1:] + generator.normal(0, 1.5, (n, 4))
        strays = boxes(m)
        candidates = [np.column_stack([truth[:, 0], generator.random(n), near])]
        candidates += [np.column_stack([generator.integers(0, 3, m), generator.random(m), strays])]
        objects.append(truth)
        detections.append(np.concatenate(candidates))
    return detections, objects


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_faster_coco_evals_own(seed: int) -> None:
    detections, objects = random_scene(seed)
    records = match_records(detections, objects, 20)
    evaluation = coco_evaluation(detections, objects)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # of at most 100 detections
    whole = np.ones((1, len(records)))
    for thresholds, expected in ((10, precision), (1, precision[:1])):
        [value] = average_precision(records, whole, thresholds=thresholds)
        assert value == pytest.approx(100 * expected[expected > -1].mean(), abs=1e-9)


def test_weights_are_repeated_images() -> None:
    detections, objects = random_scene(9, images=12)
    counts = np.random.default_rng(0).multinomial(12, [1 / 12] * 12, 4)
    values = average_precision(match_records(detections, objects, 20), counts.astype(float))
    for value, row in zip(values, counts, strict=True):
        drawn = np.repeat(np.arange(12), row)
        repeated = match_records([detections[i] for i in drawn], [objects[i] for i in drawn], 20)
        [expected] = average_precision(repeated, np.ones((1, len(drawn))))
        assert value == pytest.approx(expected, abs=1e-6)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "faster_coco_eval":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="faster-coco-eval") as caught:
        TASK.score(perfect(), TARGETS)
    assert caught.value.hint == install_command("detection")


def test_overlapping_boxes_of_a_class_leave_the_best() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [30, 0, 40, 10]], dtype=float)
    chosen = without_overlap(boxes, np.array([0.5, 0.9, 0.8, 0.1]), np.array([0, 0, 1, 0]), 0.5)
    assert chosen.tolist() == [1, 2, 3]


def test_agreement_counts_what_both_detect() -> None:
    other = TARGETS.copy()
    other[0, 0] = -1
    assert agreement_percent(TASK, perfect(), perfect()) == 100
    assert agreement_percent(TASK, perfect(), perfect(other)) == pytest.approx(
        100 * (2 / 3 + 1 + 1) / 3
    )


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((1, 0, 0), 2, "sample 1: it has a class beyond the 2 of the model"),
        ((1, 0, 0), 0.5, "sample 1: a class is a number from 0"),
        ((0, 1, 3), np.nan, "sample 0: it has a NaN"),
        ((0, 0, 3), 0, "sample 0: a box has no area"),
        ((0, 1, 3), 33, "sample 0: a box is outside the image of 32 x 24"),
        ((0, 1, 1), -1, "sample 0: a box is outside the image"),
    ],
)
def test_targets_that_do_not_fit(place: tuple[int, ...], value: float, words: str) -> None:
    targets = TARGETS.copy()
    shapes = {"boxes": (14, 4), "scores": (14, 3)}
    TASK.check_targets(targets, shapes)
    targets[place] = value
    with pytest.raises(ModelError, match=words):
        TASK.check_targets(targets, shapes)


def test_outputs_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match=r"make \(14, 4\) and \(14, classes\)"):
        TASK.check_targets(TARGETS, {"boxes": (12, 4), "scores": (12, 3)})
    with pytest.raises(ModelError, match="one output"):
        TASK.check_targets(TARGETS, {"boxes": (14, 4)})
    with pytest.raises(ModelError, match=r"shape \(samples, rows, 5\)"):
        TASK.check_targets(TARGETS[..., :4], {})


@pytest.mark.torch
@pytest.mark.parametrize("background", [True, False])
def test_the_loss_is_least_for_a_perfect_detector(background: bool) -> None:
    import torch

    task = Detection(**ARGS, background=background)
    outputs = {name: torch.tensor(values) for name, values in perfect().items()}
    if not background:
        outputs["scores"] = outputs["scores"][..., 1:] * 2 - 9
    worse = {"boxes": outputs["boxes"] + 1, "scores": outputs["scores"]}
    targets = torch.tensor(TARGETS)
    best = float(task.loss(outputs, targets))
    assert best < 0.01
    assert float(task.loss(worse, targets)) > best + 1
    blind = {"boxes": outputs["boxes"], "scores": outputs["scores"] * 0}
    assert float(task.loss(blind, targets)) > best
    assert np.isfinite(float(task.loss(outputs, torch.full_like(targets, -1))))
    assert float(task.distillation_loss(outputs, outputs, 1.0)) == 0
    assert float(task.distillation_loss(worse, outputs, 1.0)) > 0


@pytest.mark.torch
def test_the_raw_heads_of_torchvisions_ssdlite_are_decoded_as_it_does() -> None:
    import torch
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large
    from torchvision.models.detection.image_list import ImageList

    torch.manual_seed(0)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    image = torch.rand(1, 3, 320, 320)
    with torch.no_grad():
        features = list(model.backbone(image).values())
        # Random weights tell nothing apart: other numbers in the shapes of the heads.
        heads = {name: torch.randn_like(values) for name, values in model.head(features).items()}
        heads["cls_logits"] *= 3
        anchors = model.anchor_generator(ImageList(image, [(320, 320)]), features)
        [expected] = model.postprocess_detections(heads, anchors, [(320, 320)])
    sizes = tuple(
        tuple((320 * min(1.0, float(w)), 320 * min(1.0, float(h))) for w, h in pairs)
        for pairs in model.anchor_generator._wh_pairs
    )
    task = Detection(
        image=(320, 320),
        grids=tuple(tuple(each.shape[-2:]) for each in features),
        anchors=sizes,
        min_score=model.score_thresh,
        max_overlap=model.nms_thresh,
    )
    np.testing.assert_allclose(task.anchor_boxes, anchors[0].numpy(), atol=1e-3)
    [decoded] = task.detections({name: values.numpy() for name, values in heads.items()})
    np.testing.assert_allclose(decoded[:50, 1], expected["scores"][:50], rtol=1e-4)
    np.testing.assert_array_equal(decoded[:50, 0] + 1, expected["labels"][:50])
    np.testing.assert_allclose(decoded[:50, 2:], expected["boxes"][:50], atol=1e-2)


def test_overlap_of_boxes_without_area_is_none() -> None:
    assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]
