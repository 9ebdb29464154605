"""The row of a stage in the trace: what its result costs and how good it is."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from torch import nn

from edgekit.bundle.manifest import TraceRow
from edgekit.compress.checkpoint import Checkpoint
from edgekit.compress.counting import count_macs_params
from edgekit.compress.prune.masks import zero_fraction
from edgekit.compress.training.evaluate import evaluate
from edgekit.data.dataset import Split
from edgekit.models.calling import Inputs, rows
from edgekit.tasks.task import Task

if TYPE_CHECKING:
    from edgekit.pipeline.planning import PlannedStage

COMPRESSION_LEVEL = 6


def sizes_of(model: nn.Module, example: Inputs) -> dict[str, Any]:
    """Parameters, multiply-accumulates of one sample, and the fraction of the weights that is not
    zero."""
    macs, parameters = count_macs_params(model.eval(), rows(example, slice(1)))
    return {
        "parameters": parameters,
        "macs": macs,
        "nonzero_fraction": 1 - zero_fraction(model),
    }


def trace_row(
    planned: PlannedStage,
    parent: str | None,
    result: Checkpoint,
    test: Split,
    task: Task,
    sizes: dict[str, Any],
    notes: tuple[str, ...],
    *,
    seconds: float,
    trained_on: str | None,
) -> TraceRow:
    """The row of a float stage is complete. A quantize stage's bytes and metrics are those of its
    artifact and come later."""
    unknown: dict[str, Any] = {"bytes": None, "deflated_bytes": None, "metrics": ()}
    measured = unknown if result.quantization else _measured(result.model, test, task)
    return TraceRow(
        stage=planned.name,
        kind=planned.kind,
        parent=parent,
        seconds=round(seconds, 3),
        notes=notes,
        trained_on=trained_on,
        **sizes,
        **measured,
    )


def _measured(model: nn.Module, test: Split, task: Task) -> dict[str, Any]:
    """Bytes of the weights, also compressed, and the task's metrics on the test set."""
    weights = b"".join(
        tensor.detach().contiguous().numpy().tobytes() for tensor in model.state_dict().values()
    )
    return {
        "bytes": len(weights),
        "deflated_bytes": len(zlib.compress(weights, COMPRESSION_LEVEL)),
        "metrics": evaluate(model.eval(), test, task),
    }
