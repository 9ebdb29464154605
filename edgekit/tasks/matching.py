"""Which detections of an image are right, by faster-coco-eval: numpy and C++, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.installing import install_command
from edgekit.metrics.detection import NOTHING, THRESHOLDS


def match_records(
    detections: Sequence[NDArray[np.float64]],
    objects: Sequence[NDArray[np.float64]],
    size: int,
) -> NDArray[np.float64]:
    """Records of edgekit.metrics.detection for each image, of shape (images, 3 · size), filled up
    with nothing. Detections are (class, score, x1, y1, x2, y2), objects (class, x1, y1, x2, y2).

    Raises UsageError where faster-coco-eval is not installed."""
    matches = [np.zeros(len(of_image), dtype=np.int64) for of_image in detections]
    for bit in range(THRESHOLDS):
        for image, number in _matched(detections, objects, 0.5 + 0.05 * bit):
            matches[image][number] |= 1 << bit
    rows = np.zeros((len(detections), size, 3))
    rows[..., 0] = NOTHING
    for row, of_image, right, there in zip(rows, detections, matches, objects, strict=True):
        classes, counts = np.unique(there[:, 0], return_counts=True)
        row[: len(of_image)] = np.column_stack([of_image[:, :2], right])
        row[len(of_image) : len(of_image) + len(classes)] = np.column_stack(
            [classes, counts, np.full(len(classes), NOTHING)]
        )
    return rows.reshape(len(rows), -1)


def _matched(
    detections: Sequence[NDArray[np.float64]],
    objects: Sequence[NDArray[np.float64]],
    threshold: float,
) -> list[tuple[int, int]]:
    """Image and number of each detection that is matched with an object at a threshold."""
    evaluation = coco_evaluation(detections, objects)
    evaluation.params.iouThrs = np.array([threshold])
    evaluation.evaluate()
    evaluation.accumulate()
    places = [
        (image, row) for image, of_image in enumerate(detections) for row in range(len(of_image))
    ]
    # Detections are numbered from 1 in the order in which they were given.
    return [places[int(pair.partition("_")[0]) - 1] for pair in evaluation.eval["matched"]]


def coco_evaluation(
    detections: Sequence[NDArray[np.float64]], objects: Sequence[NDArray[np.float64]]
) -> Any:
    """An evaluation of faster-coco-eval, not yet run. Raises UsageError: it is not installed."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError:
        raise UsageError(
            "mAP of detections needs faster-coco-eval, which is not installed",
            hint=install_command("detection"),
        ) from None
    classes = sorted({int(each[0]) for rows in (*detections, *objects) for each in rows})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(len(objects))],
        "categories": [{"id": number} for number in classes],
        "annotations": _annotations(objects, box=1),
    }
    truth.createIndex()
    answers = COCO()
    answers.dataset = {**truth.dataset, "annotations": _annotations(detections, box=2)}
    answers.createIndex()
    evaluation = COCOeval_faster(
        truth, answers, "bbox", print_function=lambda *_: None, extra_calc=True
    )
    evaluation.params.areaRng = [evaluation.params.areaRng[0]]
    evaluation.params.areaRngLbl = ["all"]
    return evaluation


def _annotations(rows: Sequence[NDArray[np.float64]], box: int) -> list[dict[str, Any]]:
    """COCO's form of boxes that start at a column, numbered from 1 on."""
    annotations: list[dict[str, Any]] = []
    for image, of_image in enumerate(rows):
        for row in of_image.tolist():
            x1, y1, x2, y2 = row[box:]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(row[0]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    "score": row[1],
                }
            )
    return annotations
