"""The training loop, for eager modules and for prepared graphs alike. Owns the order of
epochs and steps, and what is said when one fails; batches, loss, optimiser, learning rate and the
state between two epochs are next door. Knows nothing of pruning or quantization: those hook into
the steps."""

from __future__ import annotations

import contextlib
import functools
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.compress.training import resume
from edgekit.compress.training.batches import preparation
from edgekit.compress.training.device import CPU, on_device
from edgekit.compress.training.learning_rate import learning_rate
from edgekit.compress.training.losses import Teacher, training_loss
from edgekit.compress.training.memory_layout import image_layout
from edgekit.compress.training.optimizer import optimizer_of, set_rate
from edgekit.data.dataset import Batch, Split
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, rows
from edgekit.models.usable import answer_names
from edgekit.prose import first_line
from edgekit.states import States
from edgekit.tasks.task import Task

StepProgress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class FitReport:
    """`steps` of the whole training, `final_loss` as the mean of its last epoch, `seconds` spent in
    this call."""

    steps: int
    final_loss: float
    seconds: float


def deterministic(seed: int, *, strict: bool) -> None:
    """Seed the generators of torch, numpy and Python. With `strict`, only deterministic kernels: an
    operator that has none fails in training."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(strict)


def steps_total(samples: int, batch_size: int, epochs: float) -> int:
    """Optimiser steps of a training; at least one. The last batch of an epoch is not smaller than
    the others: they share the samples evenly."""
    return max(1, round(math.ceil(samples / batch_size) * epochs))


def fit(
    model: nn.Module,
    train: Split,
    *,
    task: Task,
    epochs: float,
    batch_size: int,
    optimizer: str,
    lr: float,
    weight_decay: float,
    momentum: float,
    schedule: str,
    warmup_epochs: float,
    step_epochs: float,
    label_smoothing: float,
    gradient_clip_norm: float | None,
    augment: Sequence[str | Mapping[str, Mapping[str, Any]]],
    seed: int,
    teacher: Teacher | None = None,
    after_step: Callable[[int], None] | None = None,
    set_train_mode: Callable[[int], None] | None = None,
    resume_path: Path | None = None,
    device: torch.device = CPU,
    progress: StepProgress | None = None,
) -> FitReport:
    """Train a model in place by the loss of its task, and by distillation from a `teacher`.

    `model` is an eager module, or a graph from torch.export, which cannot be put into training mode
    the usual way: then `set_train_mode(steps_done)`, called before each epoch, does it.
    `after_step(step)` runs after each optimiser step, counted from 1 over the whole training. A
    fraction of an epoch stops within the last pass. With `resume_path` the state is saved there
    after each epoch, taken up from there, and removed at the end: stopped and resumed, a training
    ends with the same weights, bit for bit, as one that never stopped (on a GPU only with
    deterministic kernels). An eager model is left in evaluation mode.

    The models compute on `device`, samples are read and augmented on the CPU.

    A model that has a method `training_step`, as in PyTorch Lightning, computes the loss itself.

    Raises ModelError: data without labels, targets or outputs that do not suit the task, an unknown
    transform, a loss that is not finite, an operator that fails."""
    started = time.monotonic()
    steps_per_epoch = steps_total(len(train), batch_size, 1)
    total = steps_total(len(train), batch_size, epochs)
    updates = optimizer_of(model, optimizer, lr=lr, weight_decay=weight_decay, momentum=momentum)
    prepared = preparation(train, augment, labels_needed=teacher is None or teacher.weight < 1)
    loss_of = functools.partial(
        training_loss,
        model,
        task=task,
        label_smoothing=label_smoothing,
        teacher=teacher,
        states=train.states,
        answers=_answers(model, train.states),
    )
    rate = functools.partial(
        learning_rate,
        total=total,
        steps_per_epoch=steps_per_epoch,
        lr=lr,
        schedule=schedule,
        warmup_epochs=warmup_epochs,
        step_epochs=step_epochs,
    )

    def update(epoch: int, step: int, batch: Batch, layout: torch.memory_format) -> float:
        """One step of the optimiser. Returns the loss before it."""
        set_rate(updates, rate(step - 1))
        with _named_failures(epoch, step):
            inputs, targets = prepared(batch)
            inputs = {k: v.contiguous(memory_format=layout).to(device) for k, v in inputs.items()}
            on_its_device = None if targets is None else targets.to(device)
            loss = loss_of(inputs, on_its_device, batch_number=step - 1)
            updates.zero_grad()
            loss.backward()
        value = _finite(loss, epoch, step, lr)
        if gradient_clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), gradient_clip_norm)
        updates.step()
        if after_step is not None:
            after_step(step)
        return value

    plan: list[float | str] = [seed, total, steps_per_epoch, lr, device.type]
    mean_loss = math.nan
    networks = [model] if teacher is None else [model, teacher.model]
    with (
        torch.random.fork_rng(devices=[]),
        image_layout(networks, train) as layout,
        on_device(networks, device),
    ):
        finished = resume.load(resume_path, model, updates, plan=plan) if resume_path else 0
        for epoch in range(finished, math.ceil(total / steps_per_epoch)):
            first = epoch * steps_per_epoch
            _train_mode(model, set_train_mode, first)
            # All randomness of an epoch follows from this seed, so that a resumed training needs
            # no saved state of the generators.
            torch.manual_seed(seed + epoch)
            shuffled = torch.randperm(len(train)).tensor_split(steps_per_epoch)
            summed = 0.0
            batches = train.batches(shuffled[: total - first], seed=seed + epoch)
            for done, batch in enumerate(batches, start=1):
                summed += update(epoch, first + done, batch, layout)
                mean_loss = summed / done
                if progress is not None:
                    progress(first + done, total, f"loss {mean_loss:.3f}")
            if resume_path is not None:
                resume.save(resume_path, model, updates, plan=plan, epochs=epoch + 1)
    if resume_path is not None:
        resume_path.unlink(missing_ok=True)
    if set_train_mode is None:
        model.eval()
    return FitReport(total, mean_loss, time.monotonic() - started)


def _answers(model: nn.Module, states: States) -> Callable[[Inputs], tuple[str, ...]] | None:
    """The outputs that an eager model has in evaluation mode too, found out with the first batch. A
    graph has no others."""
    if isinstance(model, torch.fx.GraphModule):
        return None
    known: list[tuple[str, ...]] = []

    def names(inputs: Inputs) -> tuple[str, ...]:
        if not known:
            known.append(answer_names(model, rows(inputs, slice(2)), states))
        return known[0]

    return names


def _finite(loss: Tensor, epoch: int, step: int, lr: float) -> float:
    value = loss.item()
    if math.isfinite(value):
        return value
    where = f"epoch {epoch + 1}, step {step}"
    raise ModelError(
        f"training diverged: the loss is {value} in {where}",
        hint=f"lower lr (now {lr:g}), warm up, or set gradient_clip_norm",
    )


@contextlib.contextmanager
def _named_failures(epoch: int, step: int) -> Iterator[None]:
    """An operator's error as one line that says where."""
    try:
        yield
    except RuntimeError as error:
        reason = first_line(error)
        remedies = {
            "deterministic": "set deterministic: false",
            "allocate memory": "lower batch_size",
            "out of memory": "lower batch_size, or set training.device: cpu",
        }
        hint = next(
            (remedy for word, remedy in remedies.items() if word in reason),
            "check input.shape and the model",
        )
        raise ModelError(
            f"training failed in epoch {epoch + 1}, step {step}: {reason}", hint=hint
        ) from error


def _train_mode(model: nn.Module, set_train_mode: Callable[[int], None] | None, step: int) -> None:
    if set_train_mode is not None:
        set_train_mode(step)
    else:
        model.train()
