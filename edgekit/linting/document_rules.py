"""What is allowed in a recipe and still not meant: rules that need no model. Owns what a finding
is; with the model and a board go linting.py's.

A finding that has an `Edit` can be put right mechanically (fixing.py): one value at one path,
`REMOVE` for none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgekit.recipe.lineage import lineage, parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import (
    Iterative,
    Polynomial,
    PruneStructured,
    QuantizeBase,
    QuantizePtq,
    QuantizeQat,
    Stage,
    Train,
    Training,
)
from edgekit.yaml_documents.problems import KeyPath, Origin, quoted

Severity = Literal["error", "warning", "note"]
REMOVE = object()
KERNEL_BLOCK = 8
"""Channels that XNNPACK's int8 kernels compute at a time."""
FULL_RUNS = 10
SHOWN = 4


@dataclass(frozen=True)
class Edit:
    path: KeyPath
    value: Any


@dataclass(frozen=True)
class Finding:
    """`error`: a run would fail, or cannot meet its budget; `warning`: it would not do what it
    looks like; `note`: worth knowing."""

    code: str
    severity: Severity
    origin: Origin
    message: str
    fix: str = ""
    edit: Edit | None = None

    def as_json(self) -> dict[str, Any]:
        where = {"file": self.origin.source, "line": self.origin.line, "column": self.origin.column}
        return {
            "code": self.code,
            "severity": self.severity,
            **where,
            "message": self.message,
            "fix": self.fix,
            "fixable": self.edit is not None,
        }


def lint_text(loaded: LoadedRecipe) -> Iterator[Finding]:
    """What the recipe alone tells."""
    for index, stage in enumerate(loaded.recipe.stages):
        yield from _unused(loaded, index)
        for path, training in trainings(stage, index):
            yield from _schedule(loaded, path, training)
        if isinstance(stage, QuantizeQat):
            yield from _freezes(loaded, index, stage)
        if isinstance(stage, QuantizeBase) and getattr(stage, "method", "") in (
            "fp16",
            "weight_only",
        ):
            yield from _storage(loaded, index, stage)
        if isinstance(stage, PruneStructured):
            yield from _round_to(loaded, index, stage)
            yield from _untrained(loaded, index)
    yield from _quick(loaded)


def origin_near(loaded: LoadedRecipe, *path: str | int) -> Origin:
    """Where the nearest written value around a path is."""
    while path and (path not in loaded.origins or loaded.origins[path].line is None):
        path = path[:-1]
    return loaded.origins[path] if path else Origin(str(loaded.path), 1, 1)


def some(names: Sequence[str]) -> str:
    """The first few of a list of names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def trainings(stage: Stage, index: int) -> Iterator[tuple[KeyPath, Training]]:
    """The training loops of a stage, each with its path."""
    if isinstance(stage, Training):
        yield ("stages", index), stage
    elif isinstance(stage, QuantizeQat):
        yield ("stages", index, "train"), stage.train
    elif isinstance(schedule := getattr(stage, "schedule", None), Iterative | Polynomial):
        yield ("stages", index, "schedule", "train"), schedule.train


def children(loaded: LoadedRecipe, index: int) -> list[int]:
    return [i for i in range(len(loaded.recipe.stages)) if parent_of(loaded.recipe, i) == index]


def _unused(loaded: LoadedRecipe, index: int) -> Iterator[Finding]:
    recipe, name = loaded.recipe, stage_name(loaded.recipe, index)
    teachers = {
        t.distill.teacher
        for i, stage in enumerate(recipe.stages)
        for _, t in trainings(stage, i)
        if t.distill
    }
    if recipe.stages[index].export is None and not children(loaded, index) and name not in teachers:
        message = f"the result of stage {quoted(name)} is used by nothing"
        yield Finding(
            "unused-stage",
            "warning",
            loaded.origins["stages", index],
            message,
            "add `export: NAME`, or take the stage out",
        )


def _schedule(loaded: LoadedRecipe, path: KeyPath, training: Training) -> Iterator[Finding]:
    if training.schedule == "step" and training.step_epochs >= training.epochs:
        message = (
            f"the first step of the learning rate comes after {training.step_epochs:g} epochs, and"
            f" the training ends after {training.epochs:g}"
        )
        edit = Edit((*path, "schedule"), "constant")
        yield Finding(
            "schedule-after-training",
            "warning",
            loaded.origins[*path, "schedule"],
            message,
            "lower step_epochs, or say `constant`",
            edit,
        )


def _freezes(loaded: LoadedRecipe, index: int, stage: QuantizeQat) -> Iterator[Finding]:
    for key in ("freeze_batchnorm_epoch", "freeze_observer_epoch"):
        epoch = getattr(stage, key)
        if epoch is not None and epoch >= stage.train.epochs:
            path: KeyPath = ("stages", index, key)
            message = (
                f"{key} {epoch:g} comes after the training of {stage.train.epochs:g} epochs has"
                " ended: nothing is frozen"
            )
            fix = "take it out: the default is a fraction of the training"
            yield Finding(
                "freeze-after-training",
                "warning",
                loaded.origins[path],
                message,
                fix,
                Edit(path, REMOVE),
            )


def _storage(loaded: LoadedRecipe, index: int, stage: QuantizeBase) -> Iterator[Finding]:
    export = loaded.recipe.export
    if stage.export and "portable" in export.backends:
        message = (
            f"method {getattr(stage, 'method', '')} stores weights in a way that only XNNPACK"
            " reads, and the backend is portable"
        )
        position = export.backends.index("portable")
        path: KeyPath = ("export", "backends", position)
        yield Finding(
            "needs-xnnpack",
            "error",
            origin_near(loaded, *path),
            message,
            "take xnnpack instead, or use ptq or qat",
            Edit(path, "xnnpack"),
        )


def _round_to(loaded: LoadedRecipe, index: int, stage: PruneStructured) -> Iterator[Finding]:
    later = (
        i for i in range(index + 1, len(loaded.recipe.stages)) if index in lineage(loaded.recipe, i)
    )
    int8 = any(isinstance(loaded.recipe.stages[i], QuantizePtq | QuantizeQat) for i in later)
    if int8 and stage.round_to % KERNEL_BLOCK:
        better = -(-stage.round_to // KERNEL_BLOCK) * KERNEL_BLOCK
        path: KeyPath = ("stages", index, "round_to")
        message = (
            f"channels in multiples of {stage.round_to} leave the int8 kernels, which compute"
            f" {KERNEL_BLOCK} at a time, partly idle"
        )
        yield Finding(
            "round-to-kernel",
            "warning",
            loaded.origins[path],
            message,
            f"round_to: {better}",
            Edit(path, better),
        )


def _untrained(loaded: LoadedRecipe, index: int) -> Iterator[Finding]:
    stage = loaded.recipe.stages[index]
    if not isinstance(getattr(stage, "schedule", None), Iterative):
        after = [loaded.recipe.stages[i] for i in children(loaded, index)]
        if stage.export or any(
            not isinstance(one, Train | Training | QuantizeQat) and one.stage == "quantize"
            for one in after
        ):
            message = (
                f"stage {quoted(stage_name(loaded.recipe, index))} removes channels, and nothing is"
                " trained before the result is used"
            )
            yield Finding(
                "untrained-after-prune",
                "warning",
                loaded.origins["stages", index],
                message,
                "add `- stage: finetune` after it",
            )


def _quick(loaded: LoadedRecipe) -> Iterator[Finding]:
    recipe = loaded.recipe
    timed = [
        name
        for name, limits in recipe.budget.variants.items()
        if limits.latency_p50_max_ms or limits.latency_min_speedup_ratio
    ]
    if timed and recipe.bench.runs < FULL_RUNS:
        message = (
            f"{recipe.bench.runs} runs are a quick measurement, which judges no latency, and the"
            f" budget of {', '.join(timed)} has one"
        )
        path: KeyPath = ("bench", "runs")
        yield Finding(
            "quick-budget",
            "warning",
            loaded.origins[path],
            message,
            f"runs: {FULL_RUNS}",
            Edit(path, FULL_RUNS),
        )
