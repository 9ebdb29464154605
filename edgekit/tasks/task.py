"""What a task provides, and looking a task up by its name. No torch is imported here: the machine
that measures has none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgekit.errors import ModelError
from edgekit.hashing import canonical_json, sha256_file
from edgekit.metrics import MetricKind
from edgekit.registry.dependencies import sources
from edgekit.registry.factory import OwnObject, call_factory
from edgekit.tasks import TASKS

if TYPE_CHECKING:
    from torch import Tensor

Outputs = Mapping[str, NDArray[Any]]
"""Real outputs of a model by name, each of shape (samples, …)."""


@runtime_checkable
class Task(Protocol):
    """What a model is for.

    A module provides one such object, or a class that makes one of arguments. Only `loss` and
    `distillation_loss` may import torch, and only when they are called."""

    @property
    def metrics(self) -> tuple[MetricKind, ...]:
        """What is measured; the first is the headline metric, which short tables show."""
        ...

    @property
    def agreement_label(self) -> str:
        """What `agreement` counts, such as `same top-1`."""
        ...

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """The mean loss of a batch. Raises ModelError for outputs that do not suit the task."""
        ...

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        """The mean loss of a batch of a student's outputs against its teacher's. Raises ModelError
        for outputs that do not fit together."""
        ...

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        """Whether targets of shape (samples, …) suit a model with outputs of these shapes, without
        the samples; without outputs, whether they suit the task. Raises ModelError where they do
        not."""
        ...

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        """How many classes a model with outputs of these shapes tells apart, without the samples;
        None where the task has no classes, or the outputs are not of it."""
        ...

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The material of each sample by metric, of shape (samples,) or (samples, columns): a bool
        for a proportion, a finite number for a mean, else what the metric's statistic takes
        (edgekit.metrics.statistics). A metric that these outputs do not have is left out."""
        ...

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        """How far two models give the same answer, 0 to 1 for each sample; None where the task does
        not say."""
        ...


@dataclass(frozen=True)
class OwnTask:
    """A task that a recipe names itself: whatever it raises becomes a ModelError with its line."""

    task: Task
    own: OwnObject

    @property
    def metrics(self) -> tuple[MetricKind, ...]:
        with self.own.runs("metrics"):
            return self.task.metrics

    @property
    def agreement_label(self) -> str:
        with self.own.runs("agreement_label"):
            return self.task.agreement_label

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Tensor, *, label_smoothing: float = 0.0
    ) -> Tensor:
        with self.own.runs("loss"):
            return self.task.loss(outputs, targets, label_smoothing=label_smoothing)

    def distillation_loss(
        self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], temperature: float
    ) -> Tensor:
        with self.own.runs("distillation_loss"):
            return self.task.distillation_loss(student, teacher, temperature)

    def check_targets(self, targets: NDArray[Any], outputs: Mapping[str, tuple[int, ...]]) -> None:
        with self.own.runs("check_targets"):
            self.task.check_targets(targets, outputs)

    def classes_of(self, outputs: Mapping[str, tuple[int, ...]]) -> int | None:
        with self.own.runs("classes_of"):
            return self.task.classes_of(outputs)

    def score(self, outputs: Outputs, targets: NDArray[Any]) -> dict[str, NDArray[Any]]:
        with self.own.runs("score"):
            return self.task.score(outputs, targets)

    def agreement(self, outputs: Outputs, others: Outputs) -> NDArray[np.float64] | None:
        with self.own.runs("agreement"):
            return self.task.agreement(outputs, others)


@runtime_checkable
class ScoresTogether(Protocol):
    """A task whose samples are scored against each other, such as those of a search: what `score`
    gives of each chunk is gathered first."""

    def score_together(self, gathered: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The material of each metric from what `score` gave of all samples, by its names."""
        ...


@dataclass(frozen=True)
class OwnTogether(OwnTask):
    """As OwnTask, for a task whose samples are scored together."""

    task: Any  # a Task and ScoresTogether

    def score_together(self, gathered: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with self.own.runs("score_together"):
            return dict(self.task.score_together(gathered))


class NamedTask(Protocol):
    """A task that takes arguments, as recipes and manifests hold it."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> Mapping[str, Any]: ...


def load_task(task: str | NamedTask, base: Path | None = None) -> Task:
    """The task of a name: one of `TASKS`, or `package.module:object`, an object or something that
    makes one of arguments.

    `base` is the recipe's directory (default: the working directory): a user's own module may lie
    in it.

    Raises ModelError: no such task, arguments that it does not take, a module that cannot be
    imported, an object that is no task.

    >>> load_task("classification").metrics[0].label
    'top-1'
    """
    name, args = _name_and_args(task)
    named = TASKS.resolve(name, base)
    if isinstance(named, type) or (callable(named) and not isinstance(named, Task)):
        named = _made(named, args, name, base or Path.cwd())
    elif args:
        raise ModelError(f"task {name!r} takes no arguments", hint="leave args out")
    if not isinstance(named, Task):
        raise ModelError(
            f"task {name!r}: a {type(named).__name__}, which is no task",
            hint="a task has what edgekit.tasks.task.Task describes",
        )
    if name in TASKS:
        return named
    own = OwnObject("task", name, base or Path.cwd())
    return OwnTogether(named, own) if isinstance(named, ScoresTogether) else OwnTask(named, own)


def _name_and_args(task: str | NamedTask) -> tuple[str, Mapping[str, Any]]:
    return (task, {}) if isinstance(task, str) else (task.name, task.args)


def _made(factory: Callable[..., Any], args: Mapping[str, Any], name: str, base: Path) -> Any:
    try:
        return call_factory(factory, args, f"task {name!r}", base=base)
    except ModelError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        wrong = error.__cause__.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        problem = wrong["msg"].removeprefix("Value error, ")
        raise ModelError(f"task {name!r}: {where}: {problem}".replace(": :", ":")) from None


def task_fingerprint(task: str | NamedTask, base: Path) -> str:
    """Changes with the task, and with the sources of a user's own. The built-in ones are hashed
    with edgekit's own source."""
    name, args = _name_and_args(task)
    files = [] if name in TASKS else sources(name.partition(":")[0], base)
    return hashlib.sha256(canonical_json([name, dict(args), *map(sha256_file, files)])).hexdigest()
