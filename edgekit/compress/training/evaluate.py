"""How good a model is: its outputs over a whole split, and what its task makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgekit.data.dataset import Split
from edgekit.metrics import MetricValue
from edgekit.models.calling import call
from edgekit.tasks.scoring import Scores
from edgekit.tasks.task import Task


def predict(model: nn.Module, split: Split, batch_size: int = 256) -> dict[str, Tensor]:
    """The model's outputs for all samples by name, each of shape (N, …). An eager model is put into
    evaluation mode; a graph must be in it already."""
    batches = list(_outputs(model, split, batch_size))
    return {name: torch.cat([outputs[name] for outputs in batches]) for name in batches[0]}


def evaluate(
    model: nn.Module, split: Split, task: Task, batch_size: int = 256
) -> tuple[MetricValue, ...]:
    """The task's metrics over all samples; none for data without labels.

    Raises ModelError: targets that do not suit the model's outputs."""
    if split.targets is None:
        return ()
    scores, targets = Scores(task), split.targets.numpy()
    for number, batch in enumerate(_outputs(model, split, batch_size)):
        outputs = {name: values.numpy() for name, values in batch.items()}
        rows = slice(number * batch_size, (number + 1) * batch_size)
        task.check_targets(targets[rows], {k: v.shape[1:] for k, v in outputs.items()})
        scores.add(outputs, targets[rows])
    return scores.metrics()


def _outputs(model: nn.Module, split: Split, batch_size: int) -> Iterator[dict[str, Tensor]]:
    if not isinstance(model, torch.fx.GraphModule):
        model.eval()
    for start in range(0, len(split), batch_size):
        with torch.inference_mode():
            outputs = call(model, split.at(slice(start, start + batch_size)))
        yield outputs
