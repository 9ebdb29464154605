"""What a stage may use while it runs, besides the model it changes: the data, the task, and where
an interrupted training goes on from. Knows no recipe as a whole and no method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.compress.sections import Distill, Training
from edgekit.compress.training import fit
from edgekit.compress.training.losses import Teacher
from edgekit.data.dataset import Split
from edgekit.tasks.task import Task

StepProgress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class StageContext:
    """`name` is the stage's, `directory` its own until it is done. `train` are the samples to train
    and to calibrate with; `example` is a batch of two of them, by input name. Models are trained on
    `device`, and are on the CPU otherwise. `teacher(name)` is
    the float model of an earlier stage, in evaluation mode. `progress(name)` gives a function of
    (done, total, detail) under a name."""

    name: str
    seed: int
    directory: Path
    train: Split
    task: Task
    example: Mapping[str, Tensor]
    device: torch.device
    teacher: Callable[[str], nn.Module]
    progress: Callable[[str], StepProgress]


def train_whole(
    context: StageContext,
    model: nn.Module,
    settings: Training,
    *,
    after_step: Callable[[int], None] | None = None,
    set_train_mode: Callable[[int], None] | None = None,
) -> None:
    """The one training of a stage. When the stage was interrupted, it goes on from its last whole
    epoch. The hooks are those of `fit`."""
    _train(
        context,
        model,
        settings,
        name=context.name,
        seed=context.seed,
        resume_path=context.directory / "epoch.pt",
        after_step=after_step,
        set_train_mode=set_train_mode,
    )


def train_between(
    context: StageContext,
    model: nn.Module,
    settings: Training,
    *,
    step: int,
    steps: int,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """The training after step number `step` (from 1) of an iterative schedule. Each draws other
    random numbers. An interrupted stage starts from its first step again."""
    _train(
        context,
        model,
        settings,
        name=f"{context.name} {step}/{steps}",
        seed=context.seed + step,
        resume_path=None,
        after_step=after_step,
        set_train_mode=None,
    )


def _train(
    context: StageContext,
    model: nn.Module,
    settings: Training,
    *,
    name: str,
    seed: int,
    resume_path: Path | None,
    after_step: Callable[[int], None] | None,
    set_train_mode: Callable[[int], None] | None,
) -> None:
    fit.fit(
        model,
        context.train,
        task=context.task,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        schedule=settings.schedule,
        warmup_epochs=settings.warmup_epochs,
        step_epochs=settings.step_epochs,
        label_smoothing=settings.label_smoothing,
        gradient_clip_norm=settings.gradient_clip_norm,
        augment=settings.augment,
        teacher=_teacher(context, settings.distill),
        seed=seed,
        resume_path=resume_path,
        device=context.device,
        progress=context.progress(name),
        after_step=after_step,
        set_train_mode=set_train_mode,
    )


def _teacher(context: StageContext, distill: Distill | None) -> Teacher | None:
    if distill is None:
        return None
    return Teacher(context.teacher(distill.teacher), distill.temperature, distill.weight)
