"""A bundle from what the cache holds of its exports: written beside its final place, and renamed
there. A damaged one in that place is moved out of the way."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
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
    NamedTask,
    TraceRow,
)
from edgekit.cache import library_versions
from edgekit.errors import ExportError, ResultError
from edgekit.export.arrays_file import read_arrays
from edgekit.export.processes import artifact_of
from edgekit.pipeline.data import states_of
from edgekit.pipeline.evaluation import evaluation_set, write_evaluation
from edgekit.pipeline.pictures import pictures, write_pictures
from edgekit.recipe import schema
from edgekit.recipe.load import LoadedRecipe, recipe_sha256, resolved
from edgekit.tasks.comparing import compared_outputs
from edgekit.tasks.task import load_task


def assembled(loaded: LoadedRecipe, output: Path, artifacts: tuple[Artifact, ...]) -> Bundle | None:
    """The bundle of these artifacts that is in `output` already, if it is whole."""
    final = _place(loaded, output, artifacts)
    if not (final / MANIFEST).is_file():
        return None
    try:
        return open_bundle(final)
    except ResultError:
        return None


def _place(loaded: LoadedRecipe, output: Path, artifacts: tuple[Artifact, ...]) -> Path:
    identity = bundle_id(recipe_sha256(loaded.recipe), artifacts)
    return output / f"{loaded.recipe.name}-{identity[:12]}"


def assemble(
    loaded: LoadedRecipe,
    cache: Path,
    output: Path,
    trace: tuple[TraceRow, ...],
    entries: Sequence[Path],
) -> Bundle:
    """Write the bundle beside its final place and rename it there. A whole one with the same id is
    left as it is."""
    artifacts = tuple(artifact_of(entry) for entry in entries)
    if (ready := assembled(loaded, output, artifacts)) is not None:
        return ready
    sha256 = recipe_sha256(loaded.recipe)
    identity = bundle_id(sha256, artifacts)
    final = _place(loaded, output, artifacts)
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
        task=_named(loaded.recipe.task),
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
    drawn = pictures(loaded, cache, artifacts, outputs)
    try:
        output.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=output))
        (staged / "reference").mkdir()
        if evaluated is not None:
            series = bool(states_of(loaded.recipe))
            evaluation = write_evaluation(staged, evaluated, outputs, series=series)
            manifest = manifest.model_copy(update={"evaluation": evaluation})
        if drawn is not None:
            manifest = manifest.model_copy(update={"pictures": write_pictures(staged, drawn)})
        opened = Bundle(path=staged, manifest=manifest)
        sources = {
            file.name: entry
            for artifact, entry in zip(artifacts, entries, strict=True)
            for file in _files(artifact)
        }
        for file in opened.files():
            shutil.copyfile(sources[file.name] / file.name, staged / file.name)
        write_manifest(staged, opened.manifest)
        staged.chmod(0o755)
        if final.exists():
            _move_aside(final)
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


def _move_aside(final: Path) -> None:
    """Nothing that a person may have put into a directory is lost, but what a build left behind
    without a manifest is no bundle."""
    if not (final / MANIFEST).is_file():
        shutil.rmtree(final)
        return
    aside = final.with_name(f"{final.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    final.rename(aside)
    logging.getLogger(__name__).warning(
        "%s was damaged and is written anew; the damaged one is %s", final, aside.name
    )


def _files(artifact: Artifact) -> tuple[BundleFile, ...]:
    return tuple(
        file
        for file in (artifact.file, artifact.reference_inputs, artifact.reference_outputs)
        if file
    )


def _classes(entries: Sequence[Path]) -> tuple[str, ...]:
    return tuple(json.loads((entries[0] / "classes.json").read_text(encoding="utf-8")))


def _named(task: str | schema.NamedTask) -> str | NamedTask:
    """A recipe's task as manifests name it."""
    return task if isinstance(task, str) else NamedTask(name=task.name, args=task.args)


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
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
