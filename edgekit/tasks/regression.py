"""Numbers for each sample. The first output holds them, of shape (samples, outputs) or (samples,);
targets are real numbers of shape (samples, outputs), or (samples,) for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from edgekit.bundle.pictures import Marks, Numbers
from edgekit.errors import ModelError
from edgekit.metrics import MetricKind
from edgekit.sample_steps.decoding.scores import rows_of
from edgekit.tasks.decoding import Decoding
from edgekit.tasks.drawing import Size
from edgekit.tasks.outputs import first, refuse_smoothing, require, require_same_shape
from edgekit.tasks.task import Outputs

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Regression:
    """See edgekit.tasks.task.Task, and Draws in edgekit.tasks.drawing.

    `unit` is that of the targets. `tolerance`, in it, is what counts as no difference: `agreement`
    counts the samples on which two models are so near, and it is the gate's margin."""

    unit: Annotated[str, Field(max_length=20)] = ""
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @property
    def metrics(self) -> tuple[MetricKind, ...]:
        return (
            self._error("mae", "MAE", "mean"),
            self._error("rmse", "RMSE", "root_mean"),
            MetricKind(
                name="r2",
                label="R²",
                higher_is_better=True,
                statistic="r_squared",
                decimals=3,
                gate_margin=0.01,
            ),
        )

    def _error(self, name: str, label: str, statistic: str) -> MetricKind:
        return MetricKind(
            name=name,
            label=label,
            unit=self.unit,
            higher_is_better=False,
            statistic=statistic,
            decimals=3,
            gate_margin=self.tolerance or 0.0,
        )

    @property
    def agreement_label(self) -> str:
        return f"within {self.tolerance or 0:g} {self.unit}".strip()

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """Smooth L1: squared for errors below 1, and no steeper than 1 above (Girshick 2015,
        arXiv:1504.08083, formula 3)."""
        from torch.nn import functional

        refuse_smoothing(label_smoothing)
        predicted = first(outputs).reshape(len(targets), -1)
        expected = targets.reshape(len(targets), -1).to(predicted.dtype)
        _check_shape(tuple(expected.shape[1:]), tuple(predicted.shape[1:]))
        return functional.smooth_l1_loss(predicted, expected)

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """As `loss`, against the teacher's numbers. There is no temperature in it."""
        from torch.nn import functional

        require_same_shape(first(student), first(teacher))
        return functional.smooth_l1_loss(first(student), first(teacher))

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Finite numbers, one for each that the model returns."""
        if targets.ndim not in (1, 2):
            raise ModelError(
                "targets of regression are of shape (samples,) or (samples, outputs), these of"
                f" {targets.shape}"
            )
        require(np.isfinite(targets), "it is NaN or infinite")
        if outputs:
            _check_shape(rows_of(targets).shape[1:], (int(np.prod(first(outputs))),))

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        return None

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Errors: their mean size for each sample, their squares, and with the targets for R²."""
        expected = rows_of(targets).astype(np.float64)
        errors = rows_of(first(outputs)) - expected
        return {
            "mae": np.abs(errors).mean(axis=1),
            "rmse": errors**2,
            "r2": np.concatenate([errors, expected], axis=1),
        }

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """1 where all numbers are within the tolerance; None without one."""
        if self.tolerance is None:
            return None
        apart = np.abs(rows_of(first(outputs)) - rows_of(first(others)))
        return np.asarray(apart.max(axis=1) <= self.tolerance, dtype=np.float64)

    @property
    def error_label(self) -> str:
        return f"error in {self.unit}" if self.unit else "error"

    @property
    def decoding(self) -> Decoding:
        return Decoding("numbers")

    def drawn(self, outputs: Outputs, size: Size | None) -> Sequence[Marks]:
        return self.drawn_targets(first(outputs))

    def drawn_targets(self, targets: NDArray[Any]) -> Sequence[Marks]:
        return [Numbers(values=row, unit=self.unit) for row in rows_of(targets).tolist()]

    def errors(self, outputs: Outputs, targets: NDArray[Any]) -> NDArray[np.float64]:
        """The mean size of a sample's errors."""
        apart = rows_of(first(outputs)) - rows_of(targets).astype(np.float64)
        return np.asarray(np.abs(apart).mean(axis=1), dtype=np.float64)


def _check_shape(targets: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    if targets != predicted:
        raise ModelError(
            f"the data has {targets[0]} numbers a sample, and the model returns {predicted[0]}",
            hint="make the model's last layer as wide as the targets",
        )
