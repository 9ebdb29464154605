"""int8 by calibration: nothing is trained, samples are shown to observers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekit.compress.method import Method, Result, Starter
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase
from edgekit.yaml_documents.fields import Count

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import GraphModule

    from edgekit.compress.checkpoint import Checkpoint, Quantization
    from edgekit.compress.context import StageContext

SCHEME = Scheme(weights="int8", activations="static", in_graph=True)
CALIBRATION_BATCH = 32


class QuantizePtq(QuantizeBase):
    """Static int8 from a calibration set: symmetric per-channel weights, per-tensor activations."""

    calibration_samples: Count = Field(
        default=256, description="Training samples shown to the observers."
    )
    observer: Literal["minmax", "histogram", "moving_average"] = Field(
        default="histogram", description="How activation ranges are estimated."
    )


def _run(context: StageContext, checkpoint: Checkpoint, section: QuantizePtq) -> Result:
    from edgekit.compress.checkpoint import Quantization
    from edgekit.compress.quantize.calibrate import calibrate
    from edgekit.compress.quantize.float_layers import float_notes

    quantization = Quantization(
        section.method, SCHEME, section.keep_float, {"observer": section.observer}
    )
    graph = _rebuild(checkpoint.model.eval(), context.example, quantization)
    calibrate(graph, _batches(context, section.calibration_samples), context.train.states)
    notes = float_notes(graph, section.keep_float)
    return dataclasses.replace(checkpoint, model=graph, quantization=quantization), notes


def _batches(context: StageContext, samples: int) -> Iterator[Mapping[str, Tensor]]:
    """The first training samples in batches, with progress."""
    from edgekit.data.dataset import in_turn, normalise

    train = context.train
    order = in_turn(min(samples, len(train)), CALIBRATION_BATCH)
    progress = context.progress(context.name)
    for done, batch in enumerate(train.batches(order)):
        progress(done, len(order), "calibrating")
        yield normalise(batch.inputs, train.specs)


def _rebuild(
    model: nn.Module, example: Mapping[str, Tensor], quantization: Quantization
) -> GraphModule:
    from edgekit.compress.quantize.pt2e import prepare_ptq

    return prepare_ptq(
        model,
        example,
        keep_float=quantization.keep_float,
        observer=quantization.settings["observer"],
    )


PTQ = Method(
    section=QuantizePtq,
    run=_run,
    scheme=SCHEME,
    rebuild=_rebuild,
    starter=Starter(
        does="int8 by calibration: a quarter of the size, usually faster, minutes of work",
        stages="""
  - stage: quantize
    method: ptq
    export: int8
    calibration_samples: 256      # training samples shown to the observers""",
    ),
)
