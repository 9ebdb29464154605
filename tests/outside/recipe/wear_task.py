"""A task from outside edgekit: how worn a bearing is, as a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.metrics import MetricKind

if TYPE_CHECKING:
    from torch import Tensor

ERROR = MetricKind(
    name="wear_error",
    label="wear error",
    unit="mm",
    higher_is_better=False,
    decimals=3,
    gate_margin=0.1,
)
SAME_MM = 0.05


@dataclass(frozen=True)
class Wear:
    metrics: tuple[MetricKind, ...] = (ERROR,)
    agreement_label: str = "same wear"

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        return (outputs["wear"][:, 0] - targets).abs().mean()

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        return (student["wear"] - teacher["wear"]).abs().mean()

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        if targets.ndim != 1 or targets.dtype.kind != "f":
            raise ModelError("targets must be millimetres of wear")

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        return None

    def score(
        self, outputs: Mapping[str, NDArray[Any]], targets: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        return {ERROR.name: np.abs(outputs["wear"][:, 0] - targets)}

    def agreement(
        self, first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float64] | None:
        apart = np.abs(first["wear"][:, 0] - second["wear"][:, 0])
        return np.asarray(apart < SAME_MM, dtype=np.float64)


WEAR = Wear()
