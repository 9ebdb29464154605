"""Metrics and agreement over outputs that arrive chunk by chunk. Owns the gathering; what a chunk
is worth is decided by the task, and what follows from all samples by edgekit.metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.targets import check_numbered
from edgekit.errors import ModelError
from edgekit.metrics import MetricValue, UndefinedError, metric_value
from edgekit.tasks.task import Outputs, ScoresTogether, Task


class Scores:
    """The samples' material of each metric so far. Samples may be the `steps` of series, one series
    after the other."""

    def __init__(self, task: Task, steps: int = 1) -> None:
        self._task, self._steps = task, steps
        self._chunks: dict[str, list[NDArray[Any]]] = {}
        self._samples = 0

    def add(self, outputs: Outputs, targets: NDArray[Any]) -> None:
        """Score a chunk of outputs (samples, …) against its targets. Raises ModelError for a target
        that does not suit the task or these outputs; samples are numbered over all chunks."""
        shapes = {name: tuple(values.shape[1:]) for name, values in outputs.items()}
        numbers = range(self._samples, self._samples + len(targets))
        check_numbered(lambda some: self._task.check_targets(some, shapes), targets, numbers, "")
        self._samples += len(targets)
        for name, values in self._task.score(outputs, targets).items():
            self._chunks.setdefault(name, []).append(np.asarray(values))

    def metrics(self, *, keep_samples: bool = False) -> tuple[MetricValue, ...]:
        """The metrics in the task's order; without those that no chunk had, and those that these
        samples do not have (a recall without a positive sample).

        Raises ModelError for a task that does not give finite values for each sample."""
        gathered: Mapping[str, NDArray[Any]] = {
            name: np.concatenate(chunks) for name, chunks in self._chunks.items()
        }
        if isinstance(self._task, ScoresTogether):
            gathered = self._task.score_together(gathered)
        options = {"steps": self._steps, "keep_samples": keep_samples}
        return tuple(_values(self._task, gathered, options))


def _values(
    task: Task, gathered: Mapping[str, NDArray[Any]], options: Mapping[str, Any]
) -> Iterator[MetricValue]:
    for kind in task.metrics:
        if kind.name not in gathered:
            continue
        try:
            yield metric_value(kind, gathered[kind.name], **options)
        except UndefinedError:
            continue
        except ValueError as error:
            raise ModelError(
                f"task: {error}", hint="its score must give them, of shape (samples, …)"
            ) from None


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
