"""int8 by training with fake quantization."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from edgekit.compress.method import Method, Result, Starter
from edgekit.compress.remarks import Place, Remark
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import QuantizeBase, Training
from edgekit.yaml_documents.edits import REMOVE, ValueEdit
from edgekit.yaml_documents.fields import NonNegative, Positive
from edgekit.yaml_documents.problems import KeyPath

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import GraphModule

    from edgekit.compress.checkpoint import Checkpoint, Quantization
    from edgekit.compress.context import StageContext

SCHEME = Scheme(weights="int8", activations="static", in_graph=True)


class QatTraining(Training):
    """The training loop, with the low learning rate that suits fake quantization."""

    lr: Positive = Field(default=1e-4, description="Peak learning rate.")


class QuantizeQat(QuantizeBase):
    """Quantization-aware training (Jacob et al. 2018, arXiv:1712.05877): symmetric per-channel int8
    weights, per-tensor activations."""

    train: QatTraining = Field(
        default=QatTraining(), description="The training with fake quantization."
    )
    freeze_batchnorm_epoch: NonNegative | None = Field(
        default=None,
        description=(
            "From this epoch on batch-norm statistics stay fixed. Default: 2/3 of the epochs."
        ),
    )
    freeze_observer_epoch: NonNegative | None = Field(
        default=None,
        description="From this epoch on scales stay fixed. Default: 3/4 of the epochs.",
    )


def _run(context: StageContext, checkpoint: Checkpoint, section: QuantizeQat) -> Result:
    from edgekit.compress.checkpoint import Quantization
    from edgekit.compress.context import train_whole
    from edgekit.compress.prune.masks import hold
    from edgekit.compress.quantize.float_layers import float_notes
    from edgekit.compress.quantize.pt2e import set_qat_mode
    from edgekit.compress.training.fit import steps_total

    quantization = Quantization(section.method, SCHEME, section.keep_float)
    graph = _rebuild(checkpoint.model, context.example, quantization)
    _require_finite(graph, context.example)
    steps_per_epoch = steps_total(len(context.train), section.train.batch_size, 1)
    set_train_mode, switch = _modes(graph, section, steps_per_epoch)
    hold_masks = hold(graph, checkpoint.masks)

    def after_step(step: int) -> None:
        if hold_masks is not None:
            hold_masks(step)
        switch(step)

    train_whole(context, graph, section.train, after_step=after_step, set_train_mode=set_train_mode)
    set_qat_mode(graph, training=False)
    notes = (*_notes(checkpoint.model), *float_notes(graph, section.keep_float))
    return dataclasses.replace(checkpoint, model=graph, quantization=quantization), notes


def _require_finite(graph: GraphModule, example: Mapping[str, Tensor]) -> None:
    """Raises ModelError for infinity where a scale would be learned: the loss would be NaN, and
    would not say why."""
    import torch

    from edgekit.compress.quantize.calibrate import require_finite
    from edgekit.compress.quantize.pt2e import set_qat_mode

    trial = copy.deepcopy(graph)
    set_qat_mode(trial, training=True, freeze_batchnorm=True)
    with torch.random.fork_rng(devices=[]):
        require_finite(trial, example)


def _notes(model: nn.Module) -> tuple[str, ...]:
    from edgekit.compress.training.losses import TRAINING_STEP

    if not hasattr(model, TRAINING_STEP):
        return ()
    return ("trained by the task's loss: a graph has no training_step",)


def _modes(
    graph: GraphModule, section: QuantizeQat, steps_per_epoch: int
) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Two hooks: the mode of training after a number of steps, and its switch within an epoch.

    Batch norm, then the scales, are frozen towards the end: what is trained last is what ships."""
    from edgekit.compress.quantize.pt2e import set_qat_mode

    epochs = section.train.epochs
    freeze_batchnorm = section.freeze_batchnorm_epoch
    if freeze_batchnorm is None:
        freeze_batchnorm = 2 / 3 * epochs
    freeze_observers = section.freeze_observer_epoch
    if freeze_observers is None:
        freeze_observers = 3 / 4 * epochs
    switches = {round(epoch * steps_per_epoch) for epoch in (freeze_batchnorm, freeze_observers)}

    def set_train_mode(step: int) -> None:
        epoch = step / steps_per_epoch
        set_qat_mode(
            graph,
            training=True,
            freeze_observers=epoch >= freeze_observers,
            freeze_batchnorm=epoch >= freeze_batchnorm,
        )

    def switch(step: int) -> None:
        if step in switches:
            set_train_mode(step)

    return set_train_mode, switch


def _rebuild(
    model: nn.Module, example: Mapping[str, Tensor], quantization: Quantization
) -> GraphModule:
    from edgekit.compress.quantize.pt2e import prepare_qat

    return prepare_qat(model, example, keep_float=quantization.keep_float)


def _lint(section: QuantizeQat, place: Place) -> Iterator[Remark]:
    for key in ("freeze_batchnorm_epoch", "freeze_observer_epoch"):
        epoch = getattr(section, key)
        if epoch is not None and epoch >= section.train.epochs:
            path: KeyPath = (key,)
            yield Remark(
                "freeze-after-training",
                "warning",
                path,
                f"{key} {epoch:g} comes after the training of {section.train.epochs:g} epochs has"
                " ended: nothing is frozen",
                "take it out: the default is a fraction of the training",
                ValueEdit(path, REMOVE),
            )


QAT = Method(
    section=QuantizeQat,
    run=_run,
    scheme=SCHEME,
    rebuild=_rebuild,
    lint=_lint,
    starter=Starter(
        does="int8 by training with fake quantization: for when ptq loses too much accuracy",
        stages="""
  - stage: quantize
    method: qat
    export: int8
    train: {{epochs: {fewer}, lr: 0.0003}}""",
    ),
)
