"""From raw outputs to answers: what every built-in task makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.tasks import TASKS
from edgekit.tasks.decoding import decoding_of
from edgekit.tasks.detection import Detection
from edgekit.tasks.task import load_task

DETECTION = Detection(image=(32, 32), grids=((2, 2),), anchors=(((16.0, 16.0),),))
ONE_BOX = {
    "boxes": np.zeros((1, 4, 4), dtype=np.float32),
    "scores": np.array([[[0, 9], [9, 0], [9, 0], [9, 0]]], dtype=np.float32),
}
MASKS = np.array([[[[1.0, 0.0]], [[0.0, 1.0]]]])


@pytest.mark.parametrize(
    ("name", "outputs", "answer"),
    [
        ("classification", np.array([[0.0, 2.0, 1.0]]), [1]),
        ("multilabel", np.array([[0.5, -2.0]]), [[True, False]]),
        ("regression", np.array([1.5]), [[1.5]]),
        ("segmentation", MASKS, [[[0, 1]]]),
        ("keypoints", np.array([[[3.0, 4.0]]]), [[[3.0, 4.0]]]),
        ("embedding", np.array([[3.0, 4.0]]), [[0.6, 0.8]]),
    ],
)
def test_answers(name: str, outputs: np.ndarray, answer: list[Any]) -> None:
    decode = decoding_of(load_task(name))
    assert decode
    decoded: Any = decode({"out": outputs})
    assert np.asarray(decoded).tolist() == answer


def test_boxes_are_chosen() -> None:
    decode = decoding_of(DETECTION)
    assert decode
    decoded: Any = decode(ONE_BOX)
    assert decoded[0][0, [0, 2, 3, 4, 5]].tolist() == [0, 0, 0, 16, 16]


def test_every_built_in_task_decodes() -> None:
    assert set(TASKS) == {
        "classification",
        "multilabel",
        "regression",
        "segmentation",
        "keypoints",
        "embedding",
        "detection",
    }


OWN = """
class Plain:
    metrics = ()
    agreement_label = "same"
    loss = distillation_loss = check_targets = classes_of = score = agreement = lambda self: None

class Faulty(Plain):
    def decoded(self, outputs):
        return outputs["mask"]

PLAIN, FAULTY = Plain(), Faulty()
"""


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own_decoding.py").write_text(OWN)
    assert decoding_of(load_task("own_decoding:PLAIN", tmp_path)) is None
    decode = decoding_of(load_task("own_decoding:FAULTY", tmp_path))
    assert decode
    with pytest.raises(ModelError, match=r"its decoded failed: KeyError: 'mask'"):
        decode({})
