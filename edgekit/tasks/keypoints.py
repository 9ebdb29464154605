"""Points of one object for each sample. The first output holds heat maps, of shape (samples,
points, h, w), or coordinates in pixels of the input, of shape (samples, points, 2); targets are x,
y in pixels of the input and 1 for a visible point, of shape (samples, points, 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from edgekit.bundle.pictures import Marks, Point, Points
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.sample_steps.decoding.points import points
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.drawing import Size
from edgekit.tasks.outputs import first, refuse_smoothing, require, require_same_shape
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 0.1
"""Of the diagonal of the visible points' box: so near is a point right (PCK)."""
NME = MetricKind(
    name="nme",
    label="NME",
    unit="%",
    higher_is_better=False,
    statistic="mean_ratio",
    gate_margin=0.5,
)
PCK = MetricKind(
    name="pck",
    label="PCK@0.1",
    unit="%",
    higher_is_better=True,
    statistic="mean_ratio",
    gate_margin=1.0,
)


@dataclass(frozen=True)
class Keypoints:
    """See edgekit.tasks.task.Task, and Draws in edgekit.tasks.drawing.

    `stride` is how many pixels of the input one cell of a heat map is wide, `sigma` the width of
    the peak that heat maps learn, in cells. Neither means anything for coordinates."""

    stride: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.5

    @property
    def metrics(self) -> tuple[MetricKind, ...]:
        return (NME, PCK)

    @property
    def agreement_label(self) -> str:
        return "points at the same place"

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """Of coordinates smooth L1 in units of 1 % of the object, of heat maps the squared distance
        to a peak at the point (Xiao et al. 2018, arXiv:1804.06208). Points that are not visible
        count nothing."""
        refuse_smoothing(label_smoothing)
        answered = first(outputs)
        _check_shape(tuple(targets.shape[1:]), tuple(answered.shape[1:]))
        visible = targets[..., 2] > 0
        count = visible.sum().clamp(min=1)
        if answered.ndim == 3:
            from torch.nn import functional

            scale = _diagonals_of(targets).clamp(min=1e-3) / 100
            errors = functional.smooth_l1_loss(
                answered / scale, targets[..., :2] / scale, reduction="none"
            )
            return errors.mean(-1)[visible].sum() / count
        peaks = self._peaks(targets, answered)
        # A mean over cells would vanish beside the many that are empty. So an empty map has a
        # loss of 1.
        energy = math.pi * self.sigma**2
        return ((answered - peaks) ** 2).sum((-1, -2))[visible].sum() / (energy * count)

    def _peaks(self, targets: Tensor, like: Tensor) -> Tensor:
        """A Gaussian of height 1 at each point, in the shape of the heat maps."""
        import torch

        height, width = like.shape[-2:]
        rows = (torch.arange(height, device=like.device) + 0.5)[:, None]
        columns = torch.arange(width, device=like.device) + 0.5
        x, y = (targets[..., axis, None, None] / self.stride for axis in (0, 1))
        distance = (columns - x) ** 2 + (rows - y) ** 2
        return torch.exp(-distance / (2 * self.sigma**2)).to(like.dtype)

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """The mean squared distance to the teacher's output. There is no temperature in it."""
        from torch.nn import functional

        require_same_shape(first(student), first(teacher))
        return functional.mse_loss(first(student), first(teacher))

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Points that the model has an answer for; the visible ones within the heat maps."""
        if targets.ndim != 3 or targets.shape[2] != 3:
            raise ModelError(
                f"targets of keypoints are of shape (samples, points, 3), these of {targets.shape}"
            )
        require(np.isfinite(targets), "it has a NaN or infinite coordinate")
        require(np.isin(targets[..., 2], (0, 1)), "visible is 0 or 1")
        hidden = targets[..., 2:] == 0
        require(hidden | (targets[..., :2] >= 0), "a visible point is left of or above the image")
        if outputs:
            shape = first(outputs)
            _check_shape(targets.shape[1:], shape)
            if len(shape) == 3:
                size = np.array([shape[2], shape[1]]) * self.stride
                require(
                    hidden | (targets[..., :2] <= size),
                    f"a visible point is outside the {size[0]:g} x {size[1]:g} pixels of the heat"
                    " maps",
                )

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        return None

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """NME: the mean distance of the visible points, over the diagonal of their box, of each
        sample that has one. PCK: how many of them are near, of how many."""
        places = self.points(first(outputs))
        visible = targets[..., 2] > 0
        diagonal = _diagonals(targets)
        usable = diagonal > 0
        distance = np.linalg.norm(places - targets[..., :2], axis=-1)
        relative = np.where(visible, distance, 0.0) / np.where(usable, diagonal, 1.0)[:, None]
        count = np.where(usable, visible.sum(1), 0)
        error = np.where(usable, relative.sum(1) / np.maximum(count, 1), 0.0)
        near = np.where(usable, ((relative <= NEAR) & visible).sum(1), 0)
        return {
            NME.name: np.stack([error, usable], axis=1),
            PCK.name: np.stack([near, count], axis=1),
        }

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """The share of the points that are near each other, by the diagonal of the first's box."""
        places, other_places = self.points(first(outputs)), self.points(first(others))
        diagonal = np.linalg.norm(np.ptp(places, axis=1), axis=-1)
        near = np.linalg.norm(places - other_places, axis=-1) <= NEAR * diagonal[:, None]
        return np.asarray(near.mean(axis=1), dtype=np.float64)

    @property
    def error_label(self) -> str:
        return "NME"

    @property
    def decoding(self) -> Decoding:
        return Decoding("points", {"stride": self.stride})

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        return [
            Points(points=tuple(Point(x=x, y=y) for x, y in sample))
            for sample in self.points(first(outputs)).tolist()
        ]

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        return [
            Points(points=tuple(Point(x=x, y=y, visible=bool(seen)) for x, y, seen in sample))
            for sample in targets.tolist()
        ]

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The mean distance of the visible points over the diagonal of their box; 0 where fewer
        than two are visible."""
        return np.asarray(self.score(outputs, targets)[NME.name][:, 0], dtype=np.float64)

    def points(self, answered: NDArray[Any]) -> NDArray[np.float64]:
        """In pixels of the input, of coordinates or heat maps."""
        return points(answered, self.stride)


def _diagonals(targets: NDArray[Any]) -> NDArray[np.float64]:
    """The diagonal of the box of each sample's visible points; 0 where fewer than two are."""
    visible = targets[..., 2:] > 0
    highest = np.where(visible, targets[..., :2], -np.inf).max(1)
    lowest = np.where(visible, targets[..., :2], np.inf).min(1)
    some = visible.any(1)
    sides = np.where(some, highest, 0.0) - np.where(some, lowest, 0.0)
    return np.asarray(np.linalg.norm(sides, axis=-1))


def _diagonals_of(targets: Tensor) -> Tensor:
    """As `_diagonals`, of a batch in training, of shape (samples, 1, 1)."""
    import torch

    diagonals = _diagonals(targets.numpy(force=True))
    return torch.as_tensor(diagonals, dtype=targets.dtype, device=targets.device)[:, None, None]


def _check_shape(targets: tuple[int, ...], answered: tuple[int, ...]) -> None:
    if len(answered) == 3 or (len(answered) == 2 and answered[1] == 2):
        if answered[0] != targets[0]:
            raise ModelError(
                f"the data has {targets[0]} points a sample, and the model returns {answered[0]}"
            )
        return
    raise ModelError(
        f"the model returns {answered} for a sample; keypoints needs heat maps (points, h, w) or"
        " coordinates (points, 2)"
    )
