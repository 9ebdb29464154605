"""What a build would refuse of a model before or in its first step: a checkpoint that is not the
model's, outputs that only training has, outputs that are not of the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgekit.compress.sections import trainings
from edgekit.errors import EdgekitError
from edgekit.linting.document_rules import LintFinding, error_finding, origin_near
from edgekit.recipe.load import LoadedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.pipeline.preview import Preview


def weight_findings(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    """A checkpoint that cannot be read or is of another network; a prefix that it is read
    without."""
    model, base = loaded.recipe.model, loaded.path.parent
    if not model.weights:
        return
    from edgekit.models.create import create_model
    from edgekit.models.fingerprint import resolve_weights
    from edgekit.models.weights import load_weights

    origin = origin_near(loaded, "model", "weights")
    try:
        path = resolve_weights(model.weights, base)
        prefix = load_weights(
            create_model(model.name, model.args, seed=loaded.recipe.seed, base=base), path
        )
    except EdgekitError as error:
        yield error_finding("weights", origin, error)
        return
    if prefix:
        message = f"all names in {model.weights} begin with {prefix}; they are read without it"
        yield LintFinding("weights-prefix", "note", origin, message)


def training_findings(loaded: LoadedRecipe, seen: Preview) -> Iterator[LintFinding]:
    """A model that does not run while it trains, or has other outputs then."""
    from edgekit.compress.training.losses import TRAINING_STEP
    from edgekit.models.usable import left_out_while_training

    model = next(iter(seen.models.values()))
    if not _trains(loaded) or hasattr(model, TRAINING_STEP):
        return
    origin = origin_near(loaded, "model")
    try:
        names = left_out_while_training(model, seen.example)
    except EdgekitError as error:
        yield error_finding("model", origin, error)
        return
    if names:
        yield LintFinding(
            "auxiliary-outputs",
            "note",
            origin,
            f"the outputs {', '.join(names)}, which the model only has while it trains, are left"
            " out of the loss",
            "a model with a training_step computes its own loss",
        )


def unscored_findings(
    loaded: LoadedRecipe, outputs: Mapping[str, Tensor], classes: int
) -> Iterator[LintFinding]:
    """Outputs that the task of the recipe has no loss for, where the data has classes."""
    import torch

    from edgekit.tasks.task import load_task

    if not _trains(loaded):
        return
    targets = torch.full((len(next(iter(outputs.values()))),), classes - 1)
    try:
        load_task(loaded.recipe.task, loaded.path.parent).loss(outputs, targets)
    except EdgekitError as error:
        yield error_finding("task", origin_near(loaded, "task"), error)


def _trains(loaded: LoadedRecipe) -> bool:
    return any(list(trainings(stage)) for stage in loaded.recipe.stages)
