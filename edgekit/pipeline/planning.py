"""What a build will do: each stage and export with its key, and what the cache holds of them. Owns
the keys; runs nothing and imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.backends.backend import Dynamic
from edgekit.backends.lookup import backend_fingerprint, file_names, load_backend
from edgekit.bundle.manifest import DynamicSize
from edgekit.cache import Cache, cache_root, content_key, library_versions, source_digest
from edgekit.compress.fingerprint import method_fingerprint
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.models.fingerprint import model_fingerprint, resolve_weights
from edgekit.recipe.lineage import parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import Recipe
from edgekit.tasks.task import task_fingerprint

STAGE_SOURCES = (
    "models",
    "data",
    "tasks",
    "sample_steps/decoding",
    "metrics",
    "registry",
    "compress",
    "captured_graph.py",
    "states.py",
    "patches",
    "pipeline/data.py",
    "pipeline/stages.py",
    "pipeline/trace.py",
)
EXPORT_SOURCES = (
    "models",
    "data",
    "tasks",
    "sample_steps/decoding",
    "metrics",
    "stats",
    "registry",
    "compress",
    "captured_graph.py",
    "states.py",
    "patches",
    "backends",
    "export",
    "sample_steps/tensors.py",
)
TRAINING_LIBRARIES = ("torch", "torchvision", "torchao", "numpy")


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its key: what it is called, what it continues from, and where its result will be
    in the cache."""

    index: int
    name: str
    kind: str
    parent: int | None
    key: str
    cached: Path | None


@dataclass(frozen=True)
class PlannedExport:
    """An artifact with its key: the stage it is of, its backend as the recipe names it, what its
    file will be called, and where it will be in the cache."""

    stage: int
    variant: str
    backend: str
    file_name: str
    key: str
    cached: Path | None


@dataclass(frozen=True)
class Plan:
    """Everything a build would do, and what it finds in the cache."""

    stages: tuple[PlannedStage, ...]
    exports: tuple[PlannedExport, ...]


def plan(loaded: LoadedRecipe, *, cache: Path | None = None) -> Plan:
    """The keys of every stage and export, and which of them the cache holds. Of each entry only the
    file that says what it is was checked. Imports no torch.

    Raises ModelError when the model's or the data's own files cannot be found.
    """
    recipe, base = loaded.recipe, loaded.path.parent
    stage_cache, artifact_cache = (
        Cache(cache or cache_root(), "stages"),
        Cache(cache or cache_root(), "artifacts"),
    )
    versions = library_versions()
    training_versions = {name: versions.get(name) for name in TRAINING_LIBRARIES}
    weights = resolve_weights(recipe.model.weights, base) if recipe.model.weights else None
    root = content_key(
        model_fingerprint(recipe.model.name, recipe.model.args, weights, base),
        dataset_fingerprint(recipe.data.name, recipe.data.args, base),
        task_fingerprint(recipe.task, base),
        [
            recipe.model.model_dump(mode="json"),
            [
                [name, part.model_dump(mode="json", exclude={"dynamic"})]
                for name, part in recipe.inputs.items()
            ],
            recipe.data.model_dump(mode="json"),
        ],
        [recipe.seed, recipe.deterministic, recipe.training.device],
        [training_versions, source_digest(*STAGE_SOURCES)],
    )
    stages: list[PlannedStage] = []
    for index, stage in enumerate(recipe.stages):
        parent = parent_of(recipe, index)
        settings = stage.model_dump(mode="json", exclude={"name", "from_", "export"})
        teachers = [_stage_key(stages, teacher) for teacher in _teachers(settings)]
        own_code = method_fingerprint(stage, base)
        before = root if parent is None else stages[parent].key
        key = content_key(before, settings, teachers, own_code)
        stages.append(
            PlannedStage(
                index,
                stage_name(recipe, index),
                stage.stage,
                parent,
                key,
                stage_cache.get(key, "trace.json"),
            )
        )
    backends = [load_backend(name, base) for name in recipe.export.backends]
    dynamic = dynamic_sizes(recipe)
    exports = []
    for index, stage in enumerate(recipe.stages):
        if not stage.export:
            continue
        for backend, file_name in zip(
            recipe.export.backends, file_names(stage.export, backends), strict=True
        ):
            key = content_key(
                stages[index].key,
                [stage.export, backend, file_name, backend_fingerprint(backend, base)],
                recipe.verify.model_dump(),
                *([_plain(dynamic)] if dynamic else []),
                versions,
                source_digest(*EXPORT_SOURCES),
            )
            exports.append(
                PlannedExport(
                    index,
                    stage.export,
                    backend,
                    file_name,
                    key,
                    artifact_cache.get(key, "result.json"),
                )
            )
    return Plan(tuple(stages), tuple(exports))


def checked_whole(planned: Plan, cache: Path) -> Plan:
    """The same plan for a build that reads more than what entries are: those with any damaged file
    are no longer in it."""
    stages, artifacts = Cache(cache, "stages"), Cache(cache, "artifacts")
    return Plan(
        tuple(
            replace(stage, cached=stages.get(stage.key)) if stage.cached else stage
            for stage in planned.stages
        ),
        tuple(
            replace(export, cached=artifacts.get(export.key)) if export.cached else export
            for export in planned.exports
        ),
    )


def dynamic_sizes(recipe: Recipe) -> Dynamic:
    """Sizes that may change on the device, by the name of the input, whose axes count the batch."""
    return {
        name: tuple(
            DynamicSize.model_validate({**size.model_dump(), "axis": size.axis + 1})
            for size in section.dynamic
        )
        for name, section in recipe.inputs.items()
        if section.dynamic
    }


def _plain(dynamic: Dynamic) -> dict[str, Any]:
    return {name: [size.model_dump() for size in sizes] for name, sizes in dynamic.items()}


def _teachers(settings: dict[str, Any]) -> list[str]:
    """Names of the stages that a stage's (nested) training settings learn from."""
    names = []
    for key, value in settings.items():
        if key == "distill" and value:
            names.append(value["teacher"])
        elif isinstance(value, dict):
            names += _teachers(value)
    return names


def _stage_key(stages: Sequence[PlannedStage], name: str) -> str:
    return next(stage.key for stage in stages if stage.name == name)
