"""What tasks offer to be shown: marks of answers and truths, how wrong an answer is, and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.pictures import Boxes, Classes, CountTable, Mask, Numbers, Points
from edgekit.errors import ModelError
from edgekit.tasks.classification import CLASSIFICATION
from edgekit.tasks.detection import Detection
from edgekit.tasks.drawing import counting_of, drawing_of
from edgekit.tasks.embedding import Embedding
from edgekit.tasks.keypoints import Keypoints
from edgekit.tasks.multilabel import MULTILABEL
from edgekit.tasks.regression import Regression
from edgekit.tasks.segmentation import SEGMENTATION
from edgekit.tasks.task import load_task

SCORES = {"out": np.array([[4.0, 0.0, 1.0], [0.0, 3.0, 0.0]], dtype=np.float32)}


def test_classes_with_how_sure_the_model_is() -> None:
    sure, _ = CLASSIFICATION.drawn(SCORES, (8, 8))
    assert isinstance(sure, Classes)
    assert [each.label for each in sure.classes] == [0, 2, 1]
    assert sum(each.share or 0 for each in sure.classes) == pytest.approx(1)
    errors = CLASSIFICATION.errors(SCORES, np.array([0, 0]))
    assert errors == pytest.approx([np.log(1 + np.exp(-4) + np.exp(-3)), np.log(np.exp(3) + 2)])
    table = CLASSIFICATION.counted(SCORES, np.array([0, 0]))
    assert table
    assert table.cells == ((0, 0, 1), (0, 1, 1))


def test_outputs_that_are_no_classes_are_not_drawn() -> None:
    dense = {"out": np.zeros((2, 3, 4, 4), dtype=np.float32)}
    assert CLASSIFICATION.drawn(dense, None) == []
    assert CLASSIFICATION.counted(dense, np.array([0, 1])) is None


def test_labels_that_are_found_and_missed() -> None:
    logits, targets = {"out": np.array([[2.0, -1.0, 1.0]])}, np.array([[1, 1, 0]])
    [answered], [true] = MULTILABEL.drawn(logits, None), MULTILABEL.drawn_targets(targets)
    assert isinstance(answered, Classes)
    assert isinstance(true, Classes)
    assert [each.label for each in answered.classes] == [0, 2]
    assert [each.label for each in true.classes] == [0, 1]
    table = MULTILABEL.counted(logits, targets)
    assert table
    assert set(table.cells) == {(0, 0, 1), (1, 1, 1), (2, 2, 1)}
    expected = np.mean([np.log1p(np.exp(-2)), np.log1p(np.exp(1)), np.log1p(np.exp(1))])
    assert MULTILABEL.errors(logits, targets) == pytest.approx([expected])


def test_numbers_carry_their_unit() -> None:
    task = Regression(unit="mm")
    [answer] = task.drawn({"out": np.array([1.5])}, None)
    assert answer == Numbers(values=(1.5,), unit="mm")
    assert task.errors({"out": np.array([1.5])}, np.array([2.0])) == pytest.approx([0.5])


def test_masks_have_the_size_of_the_image() -> None:
    scores = np.zeros((1, 3, 2, 2))
    scores[0, 1, 0] = 1.0
    scores[0, 2, 1] = 1.0
    [mask] = SEGMENTATION.drawn({"out": scores}, (4, 6))
    assert isinstance(mask, Mask)
    assert mask.pixels.array().tolist() == [[1] * 6] * 2 + [[2] * 6] * 2
    targets = np.array([[[1] * 6] * 2 + [[2] * 3 + [0] * 2 + [255]] * 2])
    # class 1 overlaps whole, class 2 by 6 of 10, class 0 not at all
    assert SEGMENTATION.errors({"out": scores}, targets) == pytest.approx([1 - (1 + 0.6 + 0) / 3])
    table = SEGMENTATION.counted({"out": scores}, targets)
    assert table
    assert set(table.cells) == {(1, 1, 12), (2, 2, 6), (0, 2, 4)}


def test_hidden_points_are_told() -> None:
    targets = np.array([[[1.0, 1.0, 1.0], [4.0, 5.0, 1.0], [0.0, 0.0, 0.0]]])
    outputs = {"out": targets[..., :2] + [[0.5, 0.0]]}
    [true] = Keypoints().drawn_targets(targets)
    assert isinstance(true, Points)
    assert [point.visible for point in true.points] == [True, True, False]
    assert Keypoints().errors(outputs, targets) == pytest.approx([0.5 / 5])


def test_the_nearest_vector_is_counted() -> None:
    vectors = {"out": np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [1.0, 0.05]])}
    table = Embedding().counted(vectors, np.array([0, 0, 1, 1, 1]))
    assert table
    assert set(table.cells) == {(0, 1, 2), (1, 1, 2), (1, 0, 1)}
    assert drawing_of(Embedding()) is None


TASK = Detection(image=(32, 32), grids=((2, 2),), anchors=(((16.0, 16.0),),))
"""Four anchors of 16 pixels in the quarters of the image."""


def detections(*classes: int) -> dict[str, Any]:
    """In each quarter an object of a class, or nothing for −1; right on its anchor."""
    scores = np.zeros((1, 4, 3), dtype=np.float32)
    for quarter, number in enumerate(classes):
        scores[0, quarter, number + 1] = 8.0
    return {"boxes": np.zeros((1, 4, 4), dtype=np.float32), "scores": scores}


def test_boxes_and_what_is_where() -> None:
    outputs = detections(0, 1, -1, 1)
    targets = np.array([[[0, 0, 0, 16, 16], [0, 16, 0, 32, 16], [1, 0, 16, 16, 32]]], np.float32)
    [answer] = TASK.drawn(outputs, (32, 32))
    [true] = TASK.drawn_targets(np.concatenate([targets, np.full((1, 2, 5), -1)], axis=1))
    assert isinstance(answer, Boxes)
    assert isinstance(true, Boxes)
    assert sorted(box.label for box in answer.boxes) == [0, 1, 1]
    assert all((box.score or 0) > 0.99 for box in answer.boxes)
    assert [box.corners for box in true.boxes][1] == (16.0, 0.0, 32.0, 16.0)
    assert [box.score for box in true.boxes] == [None] * 3
    assert TASK.errors(outputs, targets) == pytest.approx([1 - 2 / 6])
    table = TASK.counted(outputs, targets)
    assert table
    # right, another class, missed, and one where nothing is
    assert set(table.cells) == {(0, 0, 1), (0, 1, 1), (1, 2, 1), (2, 1, 1)}
    assert table.extra == "nothing"


OWN = """
import numpy as np
from edgekit.bundle.pictures import CountTable, Numbers
from edgekit.tasks.regression import Regression

class Plain:
    metrics = Regression().metrics
    agreement_label = "same"
    loss = distillation_loss = check_targets = classes_of = score = agreement = lambda self: None

class Drawn(Plain):
    error_label = "error"
    def drawn(self, outputs, size):
        return [Numbers(values=row.tolist()) for row in outputs["out"]]
    def drawn_targets(self, targets):
        return ["a line" for _ in targets]
    def errors(self, outputs, targets):
        return np.full(len(targets), np.nan)
    def counted(self, outputs, targets):
        return {"a": 1}

PLAIN, DRAWN = Plain(), Drawn()
"""


def test_a_task_of_ones_own_draws_or_not(tmp_path: Path) -> None:
    (tmp_path / "own_drawing.py").write_text(OWN)
    plain = load_task("own_drawing:PLAIN", tmp_path)
    assert drawing_of(plain) is None
    assert counting_of(plain) is None
    task = load_task("own_drawing:DRAWN", tmp_path)
    draws, counts = drawing_of(task), counting_of(task)
    assert draws
    assert counts
    outputs = {"out": np.ones((2, 3))}
    assert draws.drawn(outputs, None) == [Numbers(values=(1.0, 1.0, 1.0))] * 2
    with pytest.raises(ModelError, match="a str cannot be drawn"):
        draws.drawn_targets(np.zeros(2))
    with pytest.raises(ModelError, match="errors must be one finite number for each sample"):
        draws.errors(outputs, np.zeros(2))
    with pytest.raises(ModelError, match="returns dict, not a CountTable"):
        counts.counted(outputs, np.zeros(2))
    with pytest.raises(ModelError, match=r"its drawn failed: KeyError: 'out' \(.*own_drawing.py"):
        draws.drawn({}, None)


@pytest.mark.parametrize("name", ["classification", "multilabel", "segmentation"])
def test_built_in_tasks_answer_as_they_are(name: str) -> None:
    assert drawing_of(load_task(name)) is load_task(name)
    assert isinstance(counting_of(load_task(name)), type(load_task(name)))


def test_a_table_is_written_once() -> None:
    assert CountTable.of(np.array([[0, 2]])).cells == ((0, 1, 2),)
