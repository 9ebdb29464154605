"""Pictures of each kind of answer, as a build leaves them."""

from __future__ import annotations

import numpy as np

from edgekit.bundle.pictures import (
    Box,
    Boxes,
    Classes,
    ClassShare,
    CountTable,
    Marks,
    Mask,
    Numbers,
    Pictures,
    Pixels,
    Point,
    Points,
    Sample,
)

KEYS = ("fp32.pte", "int8.pte")
HALF = np.arange(16) // 8
KINDS: dict[str, Marks] = {
    "classes": Classes(classes=(ClassShare(label=1, share=0.9), ClassShare(label=0, share=0.1))),
    "numbers": Numbers(values=(1.5, -2.25), unit="mm"),
    "boxes": Boxes(boxes=(Box(label=1, score=0.75, corners=(2.0, 3.0, 9.0, 12.0)),)),
    "points": Points(points=(Point(x=4.0, y=5.5), Point(x=9.0, y=2.0, visible=False))),
    "mask": Mask.of(np.add.outer(HALF, HALF)),
}


def drawn_sample(marks: Marks, number: int = 0) -> Sample:
    """A grey image of 16 × 16 pixels with one answer of two artifacts, which is true."""
    return Sample(
        number=number,
        chosen="worst" if number else "first",
        height=16,
        width=16,
        image=Pixels.of(np.arange(256, dtype=np.uint8).reshape(16, 16)),
        truth=marks,
        answers=dict.fromkeys(KEYS, marks),
        errors=dict.fromkeys(KEYS, 0.5),
    )


def drawn_pictures(*samples: Sample, tables: dict[str, CountTable] | None = None) -> Pictures:
    return Pictures(
        error_label="loss",
        worst_of=KEYS[-1],
        samples=samples,
        tables=tables or {},
        looked_at=100,
    )
