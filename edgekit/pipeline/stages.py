"""Running the stages of one recipe: for each, a checkpoint in, a checkpoint and its trace row out,
both in the cache. What a stage does to its model is its method's business (compress/)."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgekit.bundle.manifest import TraceRow
from edgekit.cache import Cache, cache_root
from edgekit.compress import checkpoint as checkpoints
from edgekit.compress.checkpoint import Checkpoint, ModelSpec
from edgekit.compress.context import StageContext, StepProgress
from edgekit.compress.sections import StageBase, is_own, trainings
from edgekit.compress.training import fit
from edgekit.compress.training.device import device_name, training_device
from edgekit.data.dataset import Dataset, example_call
from edgekit.data.saved import open_split
from edgekit.errors import ModelError
from edgekit.models.calling import Inputs, require_states
from edgekit.models.create import create_model
from edgekit.models.fingerprint import resolve_weights
from edgekit.models.usable import usable_outputs
from edgekit.models.weights import load_weights
from edgekit.pipeline.data import data_of, saved_test_split, states_of, understood
from edgekit.pipeline.trace import sizes_of, trace_row
from edgekit.progress import Progress
from edgekit.recipe.load import LoadedRecipe
from edgekit.registry.factory import importable
from edgekit.registry.own_code import own_code
from edgekit.tasks.task import load_task

if TYPE_CHECKING:
    from edgekit.pipeline.planning import Plan, PlannedStage


LOG = logging.getLogger(__name__)


class Stages:
    """The stages of one recipe while they run: its data, loaded once, and the checkpoints made or
    read so far."""

    def __init__(
        self, loaded: LoadedRecipe, planned: Plan, cache: Cache, progress: Progress
    ) -> None:
        """Loads the task and the data. Raises ModelError when one of them cannot be had, UsageError
        for a device that this machine does not have."""
        self.loaded = loaded
        self.plan = planned
        self.cache = cache
        self.progress = progress
        self.device = training_device(loaded.recipe.training.device)
        self.task = load_task(loaded.recipe.task, loaded.path.parent)
        fit.deterministic(loaded.recipe.seed, strict=loaded.recipe.deterministic)
        data = data_of(loaded)
        self.understood = understood(loaded, data)
        progress(f"data {loaded.recipe.data.name}", 1, 1, self.understood[0])
        self.data = _with_saved_test(loaded, data)
        # Two real samples: shapes for tracing, and numbers that exercise batch norm.
        self.example = example_call(self.data.train)
        self._checkpoints: dict[int, Checkpoint] = {}

    def run(self, planned: PlannedStage) -> TraceRow:
        """Run a stage, put its result into the cache, and return its trace row. Resumes an
        interrupted training of the same stage."""
        stage = self.loaded.recipe.stages[planned.index]
        with self.cache.claim(planned.key, f"stage {planned.name}") as directory:
            started = time.monotonic()
            self.progress(planned.name, 0, 0, "")
            before = self._parent(planned)
            context = self._context(planned, directory)
            result, notes = _result(context, before, stage, self.loaded.path.parent)
            if planned.parent is None:
                notes = (*notes, *(f"data: {text}" for text in self.understood))
            row = trace_row(
                planned,
                None if planned.parent is None else self.plan.stages[planned.parent].name,
                result,
                self.data.test,
                self.task,
                sizes_of(_float_model(before, result), self.example),
                notes,
                seconds=time.monotonic() - started,
                trained_on=device_name(self.device) if any(trainings(stage)) else None,
            )
            entry = self.cache.scratch()
            checkpoints.save(result, entry)
            (entry / "trace.json").write_text(row.model_dump_json(), encoding="utf-8")
            self.cache.put(planned.key, entry)
            shutil.rmtree(directory)
        self._checkpoints[planned.index] = result
        self.progress(planned.name, 1, 1, "done")
        return row

    def checkpoint(self, index: int) -> Checkpoint:
        """The result of a stage: at hand, from the cache, or run now, with the stages it needs."""
        if index not in self._checkpoints:
            planned = self.plan.stages[index]
            if planned.cached is None:
                self.run(planned)
            else:
                base = self.loaded.path.parent
                self._checkpoints[index] = checkpoints.load(planned.cached, self.example, base=base)
        return self._checkpoints[index]

    def _parent(self, planned: PlannedStage) -> Checkpoint:
        """What the stage continues from, as a copy it may change."""
        if planned.parent is None:
            return _original(self.loaded, self.example)
        parent = self.checkpoint(planned.parent)
        return dataclasses.replace(parent, model=copy.deepcopy(parent.model))

    def _context(self, planned: PlannedStage, directory: Path) -> StageContext:
        return StageContext(
            name=planned.name,
            seed=self.loaded.recipe.seed,
            directory=directory,
            train=self.data.train,
            task=self.task,
            example=self.example,
            device=self.device,
            teacher=self._teacher,
            progress=self._progress_of,
        )

    def _teacher(self, name: str) -> nn.Module:
        index = next(stage.index for stage in self.plan.stages if stage.name == name)
        return self.checkpoint(index).model.eval()

    def _progress_of(self, name: str) -> StepProgress:
        return functools.partial(self.progress, name)


def _with_saved_test(loaded: LoadedRecipe, data: Dataset) -> Dataset:
    """The data, with the test split mapped from the files that the exports need later: each stage
    is evaluated on it, and reads no image anew."""
    test, _ = open_split(saved_test_split(loaded, cache_root(), data))
    return dataclasses.replace(data, test=test)


def _result(
    context: StageContext, before: Checkpoint, stage: StageBase, base: Path
) -> tuple[Checkpoint, tuple[str, ...]]:
    """What the stage's method gives. Raises ModelError for whatever a user's own method raises."""
    if not is_own(stage):
        return stage.entry.run(context, before, stage)
    with importable(base), own_code(f"stage {context.name}: its method", stage.method):
        result, notes = stage.entry.run(context, before, stage)
    if not isinstance(result, Checkpoint):
        raise ModelError(
            f"stage {context.name}: its method returned a {type(result).__name__} as the result",
            hint="return (checkpoint, notes)",
        )
    return result, tuple(notes)


def _float_model(before: Checkpoint, result: Checkpoint) -> nn.Module:
    """The model to count: a prepared graph computes the same as the float model it was made of, but
    has observers in it that would be counted."""
    return before.model if result.quantization is not None else result.model


def _original(loaded: LoadedRecipe, example: Inputs) -> Checkpoint:
    """The recipe's model before any stage, with its weights.

    Raises ModelError: it cannot be built, or does not take the recipe's inputs."""
    model, base = loaded.recipe.model, loaded.path.parent
    spec = ModelSpec(model.name, model.args, loaded.recipe.seed, base)
    network = create_model(spec.name, spec.args, seed=spec.seed, base=base)
    if model.weights:
        prefix = load_weights(network, resolve_weights(model.weights, base))
        if prefix:
            LOG.warning("%s: read without %s, with which all names begin", model.weights, prefix)
    outputs = check_forward(network, example, model.name)
    require_states(states_of(loaded.recipe), outputs)
    return Checkpoint(spec, network)


def check_forward(model: nn.Module, example: Inputs, name: str) -> dict[str, Tensor]:
    """Run one batch of real samples, and give its outputs. Raises ModelError as usable_outputs
    does, and for outputs that are not finite."""
    outputs = usable_outputs(model, example, name)
    for output in outputs.values():
        if not torch.isfinite(output).all():
            raise ModelError(
                f"model {name} returns NaN or infinity on real samples",
                hint="check its weights, and mean and std of its inputs",
            )
    return outputs
