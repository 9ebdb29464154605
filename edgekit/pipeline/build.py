"""From a recipe to a bundle: the one place that names the steps.

    recipe ─▶ stages, each from the cache or run
           ─▶ exports, each from the cache or in a child process
           ─▶ comparisons ─▶ bundle

Owns the order of work and the trace; what there is to do is planning.py's, how a stage is done
stages.py's and what is below it (torch). Nothing here imports torch, so that a build whose every
part is cached takes no longer than reading it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.backends.backend import require_dynamic
from edgekit.backends.lookup import load_backend
from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import (
    TraceRow,
)
from edgekit.cache import Cache, cache_root, writing_to
from edgekit.errors import ExportError, ModelError
from edgekit.export.processes import (
    ExportJob,
    SharedServer,
    artifact_of,
    export_artifacts,
)
from edgekit.extras import naming_extras, require_modules
from edgekit.machine_limits import usable_cores, usable_memory_bytes
from edgekit.pipeline.assembling import assemble, assembled
from edgekit.pipeline.data import saved_test_split
from edgekit.pipeline.planning import (
    Plan,
    PlannedExport,
    PlannedStage,
    checked_whole,
    dynamic_sizes,
    plan,
)
from edgekit.pipeline.same_data import require_same_test, require_same_train
from edgekit.progress import Progress, silent
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe, as_loaded
from edgekit.recipe.schema import Recipe

TRAINING_MODULES = ("torch", "safetensors")
EXPORT_BYTES = 1_500_000_000
"""What a process that exports a small network takes: torch, TensorFlow, and two copies of it."""
TRIAL_BYTES = 64 << 10
"""No bundle is smaller."""


@dataclass(frozen=True)
class BuildResult:
    """A finished build. `trace` says of each stage whether it was re-used this time;
    `export_seconds` are those of the steps of each artifact that was exported this time, by its
    file name: `{"int8.pte": {"load": 1.2, "lower": 3.4, …}}`."""

    bundle: Bundle
    trace: tuple[TraceRow, ...]
    reused_exports: int
    export_seconds: Mapping[str, Mapping[str, float]]


def build(
    recipe: str | Path | LoadedRecipe,
    *,
    overrides: Sequence[str] = (),
    output: str | Path = "build",
    progress: Progress = silent,
    parallel_exports: int | None = None,
) -> BuildResult:
    """Run a recipe's stages, export its variants, verify them, and write the bundle
    `OUTPUT/NAME-ID12`. Needs the extra `export`.

    Finished stages and exports come from the cache (`EDGEKIT_CACHE`).

    Args:
        recipe: A loaded recipe or its file.
        overrides: Values to replace, as `key.path=value`.
        output: The directory to write the bundle into.
        progress: Told where the work is.
        parallel_exports: How many child processes export at a time. Default: one a core, at most 4,
            and no more than fit into the memory.

    Returns:
        The bundle, what happened in each stage, and how many exports came from the cache.

    Raises:
        UsageError: The recipe is not valid, or an extra that it needs is not installed.
        ModelError: The model, its weights or its data cannot be used.
        ExportError: An artifact cannot be made, or does not compute what the model computes.
        BusyError: Another process computes the same stage.

    Example:
        >>> result = edgekit.build("quickstart.yaml")
        >>> [artifact.key for artifact in result.bundle.manifest.artifacts][:2]
        ['fp32.pte', 'fp32.tflite']
    """
    loaded = as_loaded(recipe, overrides)
    return build_with(None, loaded, Path(output), progress, parallel_exports)


def build_with(
    server: SharedServer | None,
    loaded: LoadedRecipe,
    output: Path,
    progress: Progress = silent,
    parallel_exports: int | None = None,
) -> BuildResult:
    """As `build`, with exports forked from a server that is there already."""
    cache = cache_root()
    with writing_to(cache), naming_extras():
        return _build(loaded, cache, output, progress, parallel_exports, server)


def _build(
    loaded: LoadedRecipe,
    cache: Path,
    output: Path,
    progress: Progress,
    parallel_exports: int | None,
    server: SharedServer | None,
) -> BuildResult:
    planned = plan(loaded, cache=cache)
    if dynamic_sizes(loaded.recipe):
        for name in loaded.recipe.export.backends:
            require_dynamic(load_backend(name, loaded.path.parent))
    opened = _assembled(loaded, planned, output)
    if opened is None:
        planned = checked_whole(planned, cache)
        _require_modules(planned, loaded)
        _require_output(output)
    rows = _run_stages(loaded, planned, cache, progress)
    parallel = parallel_exports or _parallel_exports()
    artifacts, export_seconds = _export(loaded, planned, cache, progress, parallel, server)
    trace = tuple(_complete(row, loaded.recipe, artifacts) for row in rows)
    if opened is None:
        opened = assemble(loaded, cache, output, trace, artifacts)
    reused_exports = sum(export.cached is not None for export in planned.exports)
    return BuildResult(opened, trace, reused_exports, export_seconds)


def run_stages(loaded: LoadedRecipe, progress: Progress = silent) -> tuple[TraceRow, ...]:
    """The stages of a recipe without any export. Raises as `build`."""
    cache = cache_root()
    with writing_to(cache), naming_extras():
        planned = checked_whole(plan(loaded, cache=cache), cache)
        _require_modules(planned, loaded)
        return _run_stages(loaded, planned, cache, progress)


def _require_modules(planned: Plan, loaded: LoadedRecipe) -> None:
    """Find out before a training whether all that is to be computed can be. Raises UsageError."""
    modules = [] if all(stage.cached for stage in planned.stages) else [*TRAINING_MODULES]
    for name in dict.fromkeys(each.backend for each in planned.exports if each.cached is None):
        modules += [*TRAINING_MODULES, *load_backend(name, loaded.path.parent).libraries]
    require_modules(modules)


def _parallel_exports() -> int:
    """How many processes may export at a time: as many as there are processors, and as fit into the
    memory."""
    return max(1, min(4, usable_cores(), usable_memory_bytes() // EXPORT_BYTES))


def _require_output(output: Path) -> None:
    """Find out before a training whether a bundle can be written. Raises ExportError."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output) as trial:
            trial.write(bytes(TRIAL_BYTES))
    except OSError as error:
        raise ExportError(
            f"{output}: bundles cannot be written there: {error.strerror or error}",
            hint="free space, or choose another --output",
        ) from None


def _assembled(loaded: LoadedRecipe, planned: Plan, output: Path) -> Bundle | None:
    """The bundle, where it and everything it is of is there already."""
    entries = [export.cached for export in planned.exports if export.cached]
    if len(entries) < len(planned.exports) or not all(stage.cached for stage in planned.stages):
        return None
    return assembled(loaded, output, tuple(artifact_of(entry) for entry in entries))


def _run_stages(
    loaded: LoadedRecipe, planned: Plan, cache: Path, progress: Progress
) -> tuple[TraceRow, ...]:
    """The trace rows of all stages, running those the cache does not hold."""
    if all(stage.cached for stage in planned.stages):
        return tuple(_cached_row(stage) for stage in planned.stages)
    from edgekit.pipeline.stages import Stages  # torch from here on

    stages = Stages(loaded, planned, Cache(cache, "stages"), progress)
    require_same_train(loaded, cache, stages.data.train)
    return tuple(
        _cached_row(stage) if stage.cached else stages.run(stage) for stage in planned.stages
    )


def _cached_row(stage: PlannedStage) -> TraceRow:
    assert stage.cached is not None
    row = TraceRow.model_validate_json((stage.cached / "trace.json").read_bytes())
    return row.model_copy(update={"stage": stage.name, "reused": True})


def _export(
    loaded: LoadedRecipe,
    planned: Plan,
    cache: Path,
    progress: Progress,
    parallel: int,
    server: SharedServer | None,
) -> tuple[tuple[Path, ...], dict[str, Mapping[str, float]]]:
    """The cache entries of all exports, in the recipe's order; those missing are made in child
    processes. And the seconds of their steps."""
    recipe, store = loaded.recipe, Cache(cache, "artifacts")
    missing = [export for export in planned.exports if export.cached is None]
    outputs = {export.key: store.scratch() for export in missing}
    try:
        test = saved_test_split(loaded, cache) if missing else Path()
        if missing:
            require_same_test(loaded, cache, test)
        jobs = [
            _job(loaded, _checkpoint(planned, export, cache), export, test, outputs[export.key])
            for export in missing
        ]
        exports = export_artifacts(jobs, parallel=parallel, server=server, progress=progress)
        entries = tuple(
            export.cached or store.put(export.key, outputs[export.key])
            for export in planned.exports
        )
        return entries, {export.artifact.key: export.seconds for export in exports}
    except OSError as error:
        raise ExportError(
            f"{recipe.name}: cannot write the artifacts: {error.strerror or error}",
            hint=f"free space under {cache}",
        ) from None
    finally:
        for directory in outputs.values():
            shutil.rmtree(directory, ignore_errors=True)


def _checkpoint(planned: Plan, export: PlannedExport, cache: Path) -> Path:
    """Where the stage that is exported lies in the cache, now that all stages have run."""
    stage = planned.stages[export.stage]
    checkpoint = Cache(cache, "stages").get(stage.key, "checkpoint.json")
    if checkpoint is None:
        raise ModelError(
            f"stage {stage.name} left nothing in the cache",
            hint="is something else clearing EDGEKIT_CACHE?",
        )
    return checkpoint


def _job(
    loaded: LoadedRecipe, checkpoint: Path, export: PlannedExport, test: Path, output: Path
) -> ExportJob:
    recipe = loaded.recipe
    return ExportJob(
        checkpoint=checkpoint,
        base=loaded.path.parent,
        test=test,
        task=recipe.task,
        variant=export.variant,
        backend=export.backend,
        key=export.file_name,
        verify=recipe.verify.model_dump(),
        output=output,
        dynamic=dynamic_sizes(recipe),
    )


def _complete(row: TraceRow, recipe: Recipe, entries: Sequence[Path]) -> TraceRow:
    """A quantize stage's bytes and metrics are those of its first artifact."""
    if row.kind != "quantize":
        return row
    for entry in entries:
        artifact = artifact_of(entry)
        if _exporting_stage(recipe, artifact.variant) == row.stage:
            verified = artifact.verification
            labels = [verified.metrics[0].label] if verified.metrics else []
            update: dict[str, Any] = {
                "bytes": artifact.file.bytes,
                "deflated_bytes": artifact.file.deflated_bytes,
                "metrics": tuple(metric.without_samples() for metric in verified.metrics),
                "notes": (*row.notes, f"{' and '.join(['bytes', *labels])} of {artifact.key}"),
            }
            return row.model_copy(update=update)
    return row


def _exporting_stage(recipe: Recipe, variant: str) -> str:
    return next(
        stage_name(recipe, index)
        for index, stage in enumerate(recipe.stages)
        if stage.export == variant
    )
