"""How good a model is: its outputs over a whole split, and what its task makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgekit.data.dataset import Batch, Split, in_turn, normalise, series_steps
from edgekit.metrics import MetricValue
from edgekit.models.calling import call
from edgekit.tasks.scoring import Scores
from edgekit.tasks.task import Task


def predict(model: nn.Module, split: Split, batch_size: int = 256) -> dict[str, Tensor]:
    """The model's outputs for all samples by name, each of shape (N, …), or (N·steps, …) of series.
    An eager model is put into evaluation mode; a graph must be in it already."""
    batches = [outputs for _, outputs in _outputs(model, split, batch_size)]
    return {name: torch.cat([outputs[name] for outputs in batches]) for name in batches[0]}


def evaluate(
    model: nn.Module, split: Split, task: Task, batch_size: int = 256
) -> tuple[MetricValue, ...]:
    """The task's metrics over all samples; none for data without labels.

    Raises ModelError: targets that do not suit the model's outputs."""
    if not split.labelled:
        return ()
    scores = Scores(task, series_steps(split))
    for batch, returned in _outputs(model, split, batch_size):
        assert batch.targets is not None
        outputs = {name: values.numpy() for name, values in returned.items()}
        scores.add(outputs, batch.targets.numpy())
    return scores.metrics()


def _outputs(
    model: nn.Module, split: Split, batch_size: int
) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    if not isinstance(model, torch.fx.GraphModule):
        model.eval()
    for batch in split.batches(in_turn(len(split), batch_size)):
        with torch.inference_mode():
            outputs = call(model, normalise(batch.inputs, split.specs), split.states)
        yield batch, outputs
