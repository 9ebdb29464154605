"""The training loop, for eager modules and for prepared graphs alike. Owns fitting, resuming, and
measuring the task's metrics; augmentation, distillation loss and learning rate are next door. Knows
nothing of pruning or quantization: those hook into the steps."""

from __future__ import annotations

import contextlib
import copy
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
from edgekit.compress.training.augment import change_samples, mix_batch
from edgekit.compress.training.learning_rate import learning_rate
from edgekit.data.dataset import Split
from edgekit.errors import ModelError
from edgekit.metrics import MetricValue
from edgekit.models.outputs import named_outputs
from edgekit.tasks.scoring import Scores
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
    teacher: nn.Module | None = None,
    temperature: float = 4.0,
    distill_weight: float = 0.5,
    after_step: Callable[[int], None] | None = None,
    set_train_mode: Callable[[int], None] | None = None,
    resume_path: Path | None = None,
    progress: StepProgress | None = None,
) -> FitReport:
    """Train a model in place by the loss of its task, and by distillation from `teacher` (of which
    `distill_weight` is the share of the loss).

    `model` is an eager module, or a graph from torch.export, which cannot be put into training mode
    the usual way: then `set_train_mode(steps_done)`, called before each epoch, does it.
    `after_step(step)` runs after each optimiser step, counted from 1 over the whole training. A
    fraction of an epoch stops within the last pass. With `resume_path` the state is saved there
    after each epoch, taken up from there, and removed at the end: stopped and resumed, a training
    ends with the same weights, bit for bit, as one that never stopped. An eager model is left in
    evaluation mode.

    Raises ModelError: data without labels, targets or outputs that do not suit the task, an unknown
    transform, a loss that is not finite, an operator that fails."""
    started = time.monotonic()
    steps_per_epoch, total = (
        steps_total(len(train), batch_size, 1),
        steps_total(len(train), batch_size, epochs),
    )
    updates = _optimizer(model, optimizer, lr=lr, weight_decay=weight_decay, momentum=momentum)
    batch = _batches(train, augment, labels_needed=teacher is None or distill_weight < 1)
    rates: dict[str, Any] = {
        "lr": lr,
        "schedule": schedule,
        "warmup_epochs": warmup_epochs,
        "step_epochs": step_epochs,
    }
    plan = [seed, total, steps_per_epoch, lr]
    mean_loss = math.nan
    with torch.random.fork_rng(devices=[]), _image_layout(model, teacher, train) as layout:
        finished = resume.load(resume_path, model, updates, plan=plan) if resume_path else 0
        for epoch in range(finished, math.ceil(total / steps_per_epoch)):
            first = epoch * steps_per_epoch
            _train_mode(model, set_train_mode, first)
            torch.manual_seed(
                seed + epoch
            )  # all randomness of an epoch follows from this: nothing else to save
            shuffled = torch.randperm(len(train)).tensor_split(steps_per_epoch)
            summed = 0.0
            for done, rows in enumerate(shuffled[: total - first], start=1):
                step = first + done
                _set_rate(updates, learning_rate(step - 1, total, steps_per_epoch, **rates))
                with _named_failures(epoch, step):
                    inputs, targets = batch(rows)
                    inputs = [values.contiguous(memory_format=layout) for values in inputs]
                    loss = _loss(
                        model,
                        inputs,
                        targets,
                        task,
                        label_smoothing,
                        teacher,
                        temperature,
                        distill_weight,
                    )
                    updates.zero_grad()
                    loss.backward()
                summed += _finite(loss, epoch, step, lr)
                if gradient_clip_norm is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), gradient_clip_norm)
                updates.step()
                mean_loss = summed / done
                if after_step is not None:
                    after_step(step)
                if progress is not None:
                    progress(step, total, f"loss {mean_loss:.3f}")
            if resume_path is not None:
                resume.save(resume_path, model, updates, plan=plan, epochs=epoch + 1)
    if resume_path is not None:
        resume_path.unlink(missing_ok=True)
    if set_train_mode is None:
        model.eval()
    return FitReport(total, mean_loss, time.monotonic() - started)


def predict(model: nn.Module, split: Split, batch_size: int = 256) -> dict[str, Tensor]:
    """The model's outputs for all samples by name, each of shape (N, …). An eager model is put into
    evaluation mode; a graph must be in it already."""
    batches = list(_predicted(model, split, batch_size))
    return {name: torch.cat([outputs[name] for outputs in batches]) for name in batches[0]}


def _predicted(model: nn.Module, split: Split, batch_size: int) -> Iterator[dict[str, Tensor]]:
    if not isinstance(model, torch.fx.GraphModule):
        model.eval()
    for start in range(0, len(split), batch_size):
        with torch.inference_mode():
            outputs = model(*split.at(slice(start, start + batch_size)).values())
        yield named_outputs(outputs)


def evaluate(
    model: nn.Module, split: Split, task: Task, batch_size: int = 256
) -> tuple[MetricValue, ...]:
    """The task's metrics over all samples; none for data without labels.

    Raises ModelError: targets that do not suit the model's outputs."""
    if split.targets is None:
        return ()
    scores, targets = Scores(task), split.targets.numpy()
    for number, batch in enumerate(_predicted(model, split, batch_size)):
        outputs = {name: values.numpy() for name, values in batch.items()}
        rows = slice(number * batch_size, (number + 1) * batch_size)
        task.check_targets(targets[rows], {k: v.shape[1:] for k, v in outputs.items()})
        scores.add(outputs, targets[rows])
    return scores.metrics()


def _optimizer(
    model: nn.Module, name: str, *, lr: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """The fused kernels take one call for all parameters instead of some per parameter: a tenth of
    a step of a small network."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ModelError("the model has no parameters to train")
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, weight_decay=weight_decay, momentum=momentum, fused=True
        )
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, weight_decay=weight_decay, momentum=momentum)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(parameters, lr=lr, weight_decay=weight_decay, fused=True)


def _set_rate(updates: torch.optim.Optimizer, rate: float) -> None:
    for group in updates.param_groups:
        group["lr"] = rate


def _batches(
    train: Split, augment: Sequence[Any], *, labels_needed: bool
) -> Callable[[Tensor], tuple[list[Tensor], Tensor | None]]:
    """A function from rows to an augmented, normalised batch, one tensor for each input, and its
    labels (class numbers, or probabilities when mixed). Transforms change the first input."""
    labels = train.targets
    first = next(iter(train.inputs))
    if labels is None and labels_needed:
        raise ModelError(
            "training needs labels, and this data has none",
            hint="distill from a teacher with weight: 1, or use data with labels",
        )
    change = change_samples(augment, train.inputs[first][:1])
    mix = None if labels is None else mix_batch(augment, _classes(labels))

    if mix is not None and len(train.inputs) > 1:
        raise ModelError("augment: samples of several inputs cannot be mixed")

    def batch(rows: Tensor) -> tuple[list[Tensor], Tensor | None]:
        samples = train.rows(rows)
        if change is not None:
            samples[first] = change(samples[first])
        inputs = list(train.normalise(samples).values())
        targets = None if labels is None else labels[rows]
        if mix is not None and targets is not None:
            inputs[0], targets = mix(inputs[0], targets)
        return inputs, targets

    return batch


def _classes(labels: Tensor) -> int:
    """How many classes labels are of; 0 for targets that are no class numbers."""
    return 0 if labels.is_floating_point() or labels.ndim > 1 else int(labels.max()) + 1


def _loss(
    model: nn.Module,
    inputs: Sequence[Tensor],
    targets: Tensor | None,
    task: Task,
    smoothing: float,
    teacher: nn.Module | None,
    temperature: float,
    distill_weight: float,
) -> Tensor:
    outputs = named_outputs(model(*inputs))
    share = 0.0 if teacher is None else distill_weight
    loss = torch.zeros(())
    if targets is not None and share < 1:
        label_loss = task.loss(outputs, targets, label_smoothing=smoothing)
        loss = loss + (1 - share) * label_loss
    if teacher is not None and share > 0:
        with torch.no_grad():
            taught = named_outputs(teacher(*inputs))
        loss = loss + share * task.distillation_loss(outputs, taught, temperature)
    return loss


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
        reason = (str(error) or type(error).__name__).splitlines()[0]
        remedies = {
            "deterministic": "set deterministic: false",
            "allocate memory": "lower batch_size",
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


@contextlib.contextmanager
def _image_layout(
    model: nn.Module, teacher: nn.Module | None, train: Split
) -> Iterator[torch.memory_format]:
    """Within it, models of images hold their weights with the channels last, which convolutions on
    a CPU prefer; the layout of a batch is given.

    Models that cannot run so (`view` of a feature map) stay as they are.
    """
    modules = [module for module in (model, teacher) if module is not None]
    if not _is_of_images(train) or not all(
        _runs_channels_last(module, train) for module in modules
    ):
        yield torch.contiguous_format
        return
    try:
        for module in modules:
            module.to(memory_format=torch.channels_last)
        yield torch.channels_last
    finally:
        for module in modules:
            module.to(memory_format=torch.contiguous_format)


def _is_of_images(split: Split) -> bool:
    return all(len(spec.shape) == 3 for spec in split.specs.values())


def _runs_channels_last(module: nn.Module, train: Split) -> bool:
    probe = copy.deepcopy(module).to(
        memory_format=torch.channels_last
    )  # a copy: running changes observers and batch norm
    example = train.at(torch.tensor([0, len(train) - 1])).values()
    try:
        with torch.no_grad():
            probe(*(values.contiguous(memory_format=torch.channels_last) for values in example))
    except RuntimeError:
        return False
    return True
