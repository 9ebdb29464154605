"""What `recipe new --method` offers: one starter for each quantization method that has one, and a
few combinations of methods."""

from __future__ import annotations

from edgekit.compress import METHODS
from edgekit.compress.method import Starter

PRUNED_QAT = Starter(
    does=(
        "half the multiply-accumulates by whole channels, accuracy won back from the unpruned"
        " model, then int8"
    ),
    stages="""
  - stage: prune
    method: structured
    macs: 0.5                     # the fraction of multiply-accumulates that stays
  - stage: finetune
    name: finetuned
    epochs: {fewer}
    lr: 0.001
    distill: {{teacher: fp32}}      # the unpruned model teaches
  - stage: quantize
    method: qat
    export: pruned-int8
    train: {{epochs: {fewer}, lr: 0.0003}}""",
)
SPARSE_PTQ = Starter(
    does="half of the weights zero, then int8: compresses better, runs no faster",
    stages="""
  - stage: prune
    method: unstructured
    sparsity: 0.5
  - stage: finetune
    epochs: {fewer}
    lr: 0.001
  - stage: quantize
    method: ptq
    export: sparse-int8""",
)


def _of_methods() -> dict[str, Starter]:
    methods = {name: METHODS["quantize"].resolve(name) for name in METHODS["quantize"]}
    return {name: method.starter for name, method in methods.items() if method.starter}


STARTERS: dict[str, Starter] = {
    "none": Starter(does="nothing is compressed", stages=""),
    **_of_methods(),
    "pruned-qat": PRUNED_QAT,
    "sparse-ptq": SPARSE_PTQ,
}


def default_starter(*, series: bool) -> str:
    """The method to start with, for a model of series or of anything else."""
    return next(name for name, starter in _of_methods().items() if starter.series == series)


def variant_of(starter: Starter) -> str | None:
    """The variant that a starter exports."""
    for line in starter.stages.splitlines():
        _, key, variant = line.partition("export: ")
        if key:
            return variant
    return None
