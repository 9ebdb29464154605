"""From a recipe to a bundle: the one place that names the steps.

    recipe ─▶ stages, each from the cache or run
           ─▶ exports, each from the cache or in a child process
           ─▶ comparisons ─▶ bundle

Owns the order of work and the trace; what there is to do is planning.py's, how a stage is done
stages.py's and what is below it (torch). Nothing here imports torch, so that a build whose every
part is cached takes no longer than reading it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit.bundle.directory import MANIFEST, Bundle, bundle_id, open_bundle, write_manifest
from edgekit.bundle.manifest import (
    Artifact,
    ArtifactAgreement,
    BundleFile,
    Manifest,
    ModelInput,
    TraceRow,
)
from edgekit.cache import Cache, cache_root, library_versions
from edgekit.errors import ExportError, ModelError
from edgekit.export.arrays_file import read_arrays
from edgekit.export.processes import ExportJob, export_artifacts
from edgekit.pipeline.data import saved_test_split
from edgekit.pipeline.evaluation import evaluation_set, write_evaluation
from edgekit.pipeline.planning import Plan, PlannedExport, PlannedStage, plan
from edgekit.progress import Progress, silent
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe, as_loaded, recipe_sha256, resolved
from edgekit.recipe.schema import Recipe
from edgekit.tasks.comparing import compared_outputs
from edgekit.tasks.task import load_task


@dataclass(frozen=True)
class BuildResult:
    """A finished build. `trace` says of each stage whether it was re-used this time."""

    bundle: Bundle
    trace: tuple[TraceRow, ...]
    reused_exports: int


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
        parallel_exports: How many child processes export at a time. Default: one a core, at most 4.

    Returns:
        The bundle, what happened in each stage, and how many exports came from the cache.

    Raises:
        UsageError: The recipe is not valid.
        ModelError: The model, its weights or its data cannot be used.
        ExportError: An artifact cannot be made, or does not compute what the model computes.
        BusyError: Another process computes the same stage.

    Example:
        >>> result = edgekit.build("quickstart.yaml")
        >>> [artifact.key for artifact in result.bundle.manifest.artifacts][:2]
        ['fp32.pte', 'fp32.tflite']
    """
    loaded = as_loaded(recipe, overrides)
    cache = cache_root()
    planned = plan(loaded, cache=cache)
    rows = _run_stages(loaded, planned, cache, progress)
    parallel = parallel_exports or min(4, os.cpu_count() or 1)
    artifacts = _export(loaded, planned, cache, progress, parallel)
    trace = tuple(_complete(row, loaded.recipe, artifacts) for row in rows)
    opened = _assemble(loaded, cache, Path(output), trace, artifacts)
    return BuildResult(opened, trace, sum(export.cached is not None for export in planned.exports))


def _run_stages(
    loaded: LoadedRecipe, planned: Plan, cache: Path, progress: Progress
) -> tuple[TraceRow, ...]:
    """The trace rows of all stages, running those the cache does not hold."""
    if all(stage.cached for stage in planned.stages):
        return tuple(_cached_row(stage) for stage in planned.stages)
    from edgekit.pipeline.stages import Stages  # torch from here on

    stages = Stages(loaded, planned, Cache(cache, "stages"), progress)
    return tuple(
        _cached_row(stage) if stage.cached else stages.run(stage) for stage in planned.stages
    )


def _cached_row(stage: PlannedStage) -> TraceRow:
    assert stage.cached is not None
    row = TraceRow.model_validate_json((stage.cached / "trace.json").read_bytes())
    return row.model_copy(update={"stage": stage.name, "reused": True})


def _export(
    loaded: LoadedRecipe, planned: Plan, cache: Path, progress: Progress, parallel: int
) -> tuple[Path, ...]:
    """The cache entries of all exports, in the recipe's order; those missing are made in child
    processes."""
    recipe, store = loaded.recipe, Cache(cache, "artifacts")
    missing = [export for export in planned.exports if export.cached is None]
    outputs = {export.key: store.scratch() for export in missing}
    try:
        test = saved_test_split(loaded, cache) if missing else Path()
        jobs = [
            _job(loaded, _checkpoint(planned, export, cache), export, test, outputs[export.key])
            for export in missing
        ]
        export_artifacts(jobs, parallel=parallel, progress=progress)
        return tuple(
            export.cached or store.put(export.key, outputs[export.key])
            for export in planned.exports
        )
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
    checkpoint = Cache(cache, "stages").get(stage.key)
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
    )


def _complete(row: TraceRow, recipe: Recipe, entries: Sequence[Path]) -> TraceRow:
    """A quantize stage's bytes and metrics are those of its first artifact."""
    if row.kind != "quantize":
        return row
    for entry in entries:
        artifact = _artifact(entry)
        if _exporting_stage(recipe, artifact.variant) == row.stage:
            verified = artifact.verification
            labels = [verified.metrics[0].label] if verified.metrics else []
            update: dict[str, Any] = {
                "bytes": artifact.file.bytes,
                "deflated_bytes": artifact.file.deflated_bytes,
                "metrics": verified.metrics,
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


def _artifact(entry: Path) -> Artifact:
    return Artifact.model_validate_json((entry / "result.json").read_bytes())


def _assemble(
    loaded: LoadedRecipe,
    cache: Path,
    output: Path,
    trace: tuple[TraceRow, ...],
    entries: Sequence[Path],
) -> Bundle:
    """Write the bundle beside its final place and rename it there. A bundle with the same id is
    left as it is."""
    artifacts = tuple(_artifact(entry) for entry in entries)
    sha256 = recipe_sha256(loaded.recipe)
    identity = bundle_id(sha256, artifacts)
    final = output / f"{loaded.recipe.name}-{identity[:12]}"
    if (final / MANIFEST).is_file():
        return open_bundle(final)
    outputs = {
        artifact.key: read_arrays(entry / "outputs.npz")
        for artifact, entry in zip(artifacts, entries, strict=True)
    }
    manifest = Manifest(
        id=identity,
        name=loaded.recipe.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=resolved(loaded.recipe),
        recipe_sha256=sha256,
        versions=library_versions(),
        seed=loaded.recipe.seed,
        git_revision=_git_revision(loaded.path.parent),
        task=loaded.recipe.task,
        inputs={
            name: ModelInput.model_validate(described.model_dump())
            for name, described in loaded.recipe.inputs.items()
        },
        classes=_classes(entries),
        trace=tuple(row.model_copy(update={"reused": False}) for row in trace),
        artifacts=artifacts,
        comparisons=_comparisons(loaded, artifacts, outputs),
    )
    evaluated = evaluation_set(loaded, cache)
    try:
        output.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=output))
        (staged / "reference").mkdir()
        opened = Bundle(path=staged, manifest=manifest)
        if evaluated is not None:
            opened = Bundle(
                path=staged,
                manifest=manifest.model_copy(
                    update={"evaluation": write_evaluation(staged, evaluated, outputs)}
                ),
            )
        sources = {
            file.name: entry
            for artifact, entry in zip(artifacts, entries, strict=True)
            for file in _files(artifact)
        }
        for file in opened.files():
            shutil.copyfile(sources[file.name] / file.name, staged / file.name)
        write_manifest(staged, opened.manifest)
        staged.chmod(0o755)
        if final.exists():  # left behind without a manifest: not a bundle
            shutil.rmtree(final)
        staged.rename(final)
    except OSError as error:
        raise ExportError(
            f"{final}: cannot write the bundle: {error.strerror or error}",
            hint="free space, or choose another --output",
        ) from None
    finally:
        if "staged" in locals():
            shutil.rmtree(staged, ignore_errors=True)
    return open_bundle(final)


def _files(artifact: Artifact) -> tuple[BundleFile, ...]:
    return tuple(
        file
        for file in (artifact.file, artifact.reference_inputs, artifact.reference_outputs)
        if file
    )


def _classes(entries: Sequence[Path]) -> tuple[str, ...]:
    return tuple(json.loads((entries[0] / "classes.json").read_text(encoding="utf-8")))


def _comparisons(
    loaded: LoadedRecipe,
    artifacts: Sequence[Artifact],
    outputs: Mapping[str, Mapping[str, NDArray[Any]]],
) -> tuple[ArtifactAgreement, ...]:
    """Each variant's artifacts against each other, and each variant against the baseline of the
    same backend, on the whole test set. `outputs` are by artifact key, and by name."""
    baseline = loaded.recipe.budget.baseline or artifacts[0].variant
    task = load_task(loaded.recipe.task, loaded.path.parent)
    pairs = [
        (a, b)
        for i, a in enumerate(artifacts)
        for b in artifacts[i + 1 :]
        if a.variant == b.variant
    ]
    pairs += [
        (a, b)
        for a in artifacts
        if a.variant == baseline
        for b in artifacts
        if b.variant != baseline and a.backend == b.backend
    ]
    return tuple(
        compared_outputs(task, a.key, outputs[a.key], b.key, outputs[b.key]) for a, b in pairs
    )


def _git_revision(directory: Path) -> str | None:
    """The commit the recipe lies in, with `-dirty` when the work tree differs; None outside a
    repository or without git."""
    try:
        command = [
            "git",
            "-C",
            str(directory),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ]
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
