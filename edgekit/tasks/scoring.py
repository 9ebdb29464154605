"""Metrics and agreement over outputs that arrive chunk by chunk. Owns the gathering; what a chunk
is worth is decided by the task, and what follows from all samples by edgekit.metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics import MetricValue, metric_value
from edgekit.tasks.task import Outputs, Task


class Scores:
    """The samples' values of each metric so far."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._chunks: dict[str, list[NDArray[Any]]] = {}

    def add(self, outputs: Outputs, targets: NDArray[Any]) -> None:
        """Score a chunk of outputs (samples, …) against its targets."""
        for name, values in self._task.score(outputs, targets).items():
            self._chunks.setdefault(name, []).append(np.asarray(values))

    def metrics(self, *, keep_samples: bool = False) -> tuple[MetricValue, ...]:
        """The metrics in the task's order; without those that no chunk had.

        Raises ValueError for a task that does not give one finite value for each sample."""
        return tuple(
            metric_value(kind, np.concatenate(self._chunks[kind.name]), keep_samples=keep_samples)
            for kind in self._task.metrics
            if kind.name in self._chunks
        )


class Agreement:
    """How far two models have agreed so far."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._sum = 0.0
        self._samples = 0

    def add(self, first: Outputs, second: Outputs) -> None:
        """Compare a chunk of outputs of the same samples."""
        shares = self._task.agreement(first, second)
        if shares is not None:
            self._sum += float(np.sum(shares))
            self._samples += len(shares)

    @property
    def percent(self) -> float | None:
        """None where the task does not say."""
        return 100 * self._sum / self._samples if self._samples else None


def agreement_percent(task: Task, first: Outputs, second: Outputs) -> float | None:
    """How far two models agree on the same samples; None where the task does not say."""
    agreement = Agreement(task)
    agreement.add(first, second)
    return agreement.percent
