"""Looking over a recipe before it runs, with its model and with the board it is for: what cannot be
pruned or quantized, what falls back to slow kernels, what a budget cannot get. Owns their order,
and the rules about layers and data. Others are in board_rules.py, budget_rules.py and
export_rules.py; those of one method are in compress/, those that need no model in
document_rules.py.

Knowledge is asked for, not kept in lists: which channels hang together is asked of the network,
what is quantized of the quantizer, what falls back of the partitioner, and what a board has
packages for of the package index."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.data.outline import contents_of, outline_of
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import EdgekitError
from edgekit.installing import install_command
from edgekit.linting.board_rules import board_findings
from edgekit.linting.budget_rules import budget_findings
from edgekit.linting.document_rules import (
    LintFinding,
    error_finding,
    lint_text,
    method_findings,
    origin_near,
)
from edgekit.linting.export_rules import export_findings
from edgekit.linting.precision_rules import precision_findings
from edgekit.linting.usable_rules import (
    training_findings,
    unscored_findings,
    weight_findings,
)
from edgekit.progress import Progress, silent
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe, load_recipe
from edgekit.yaml_documents.edits import ValueEdit
from edgekit.yaml_documents.problems import KeyPath

if TYPE_CHECKING:
    from edgekit.pipeline.preview import Preview

ORDER = ("error", "warning", "note")


def lint(
    recipe: str | Path | LoadedRecipe,
    *,
    overrides: Sequence[str] = (),
    target: Target | str | Path | None = None,
    progress: Progress = silent,
) -> tuple[LintFinding, ...]:
    """Look over a recipe, with its model where the extra `export` is installed, and with a board
    where `target` names one.

    Nothing is trained. Data is loaded where a schedule counts its samples, and where an int8 stage
    of an earlier build is in the cache: its outputs are compared with the float network's. Of a
    folder of images one is read otherwise.

    Args:
        recipe: A loaded recipe or its file.
        overrides: Values to replace, as `key.path=value`; only for a file.
        target: A target, as a value, a name or a file. Its board is connected to.
        progress: Told where the work is.

    Returns:
        What was noticed, in the order of the file's lines; empty where there is nothing to say.

    Raises:
        UsageError: The recipe is not valid, or there is no such target.

    Example:
        >>> edgekit.lint("quickstart.yaml")
        ()
    """
    loaded = (
        recipe
        if isinstance(recipe, LoadedRecipe)
        else load_recipe(Path(recipe), overrides=overrides)
    )
    findings = list(lint_text(loaded))
    if importlib.util.find_spec("torch") is None:
        findings.append(
            LintFinding(
                "no-model",
                "note",
                origin_near(loaded),
                "the model was not looked at",
                install_command("export"),
            )
        )
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the libraries say of themselves
            findings += _with_model(loaded, progress)
    if target is not None:
        findings += board_findings(loaded, as_target(target))
    return tuple(
        sorted(
            findings,
            key=lambda entry: (
                entry.origin.source,
                entry.origin.line or 0,
                ORDER.index(entry.severity),
                entry.code,
            ),
        )
    )


def _with_model(loaded: LoadedRecipe, progress: Progress = silent) -> Iterator[LintFinding]:
    """The cheapest first: the checkpoint, the network, the data, then each stage."""
    from edgekit.pipeline.preview import preview

    name, stages = f"lint {loaded.path.name}", len(loaded.recipe.stages)
    progress(name, 0, stages, "the model")
    unusable = list(weight_findings(loaded))
    yield from unusable
    if any(finding.severity == "error" for finding in unusable):
        return
    try:
        seen = preview(loaded)
    except EdgekitError as error:
        yield error_finding("model", origin_near(loaded, "model"), error)
        return
    yield from training_findings(loaded, seen)
    yield from _data(loaded, seen)
    for index, estimate in enumerate(seen.stages):
        progress(name, index, stages, f"stage {stage_name(loaded.recipe, index)}")
        if estimate.problem is not None:
            origin = origin_near(loaded, "stages", index)
            yield error_finding("cannot-prune", origin, estimate.problem)
        unknown = list(_patterns(loaded, index, seen))
        yield from unknown
        yield from _samples(loaded, index)
        if not unknown:
            yield from _method(loaded, index, seen)
            yield from export_findings(loaded, index, seen)
    yield from budget_findings(loaded, seen)
    yield from precision_findings(loaded)
    progress(name, 1, 1, "done")


def _patterns(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    """Patterns that mean no layer: each at its place."""
    from edgekit.compress.patterns import require_matches

    stage = loaded.recipe.stages[index]
    names = [
        name for name, _ in seen.models[stage_name(loaded.recipe, index)].named_modules() if name
    ]
    for key in ("include", "exclude", "per_layer", "keep_float"):
        for position, pattern in enumerate(getattr(stage, key, None) or ()):
            try:
                require_matches(names, [pattern], purpose=key)
            except EdgekitError as error:
                path: KeyPath = ("stages", index, key, pattern if key == "per_layer" else position)
                yield error_finding("unknown-layer", origin_near(loaded, *path), error)


def _method(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    """What the stage's method says of its network."""
    stage = loaded.recipe.stages[index]
    if seen.stages[index].problem is None:
        model = seen.models[stage_name(loaded.recipe, index)]
        lint = functools.partial(stage.entry.lint_model, stage, model, seen.example)
        yield from method_findings(loaded, index, lint)


def _samples(loaded: LoadedRecipe, index: int) -> Iterator[LintFinding]:
    """What the stage's method says of the number of training samples."""
    stage = loaded.recipe.stages[index]
    lint = functools.partial(stage.entry.lint_samples, stage, lambda: _training_samples(loaded))
    yield from method_findings(loaded, index, lint)


def _data(loaded: LoadedRecipe, seen: Preview) -> Iterator[LintFinding]:
    """Data that is not there, and a model that answers for another number of classes than the data
    has."""
    from edgekit.models.calling import call
    from edgekit.tasks.task import load_task

    recipe = loaded.recipe
    try:
        outline = outline_of(recipe.data.name, recipe.data.args, loaded.path.parent)
    except EdgekitError as error:
        yield error_finding("data", origin_near(loaded, "data"), error)
        return
    yield from _left_out(loaded)
    classes = outline.classes if outline is not None and outline.labelled else 0
    outputs = call(seen.models[stage_name(recipe, 0)], seen.example)
    shapes = {name: tuple(values.shape[1:]) for name, values in outputs.items()}
    try:
        answers = load_task(recipe.task, loaded.path.parent).classes_of(shapes)
    except EdgekitError as error:
        yield error_finding("task", origin_near(loaded, "task"), error)
        return
    if classes and answers is None:
        yield from unscored_findings(loaded, outputs, classes)
    if classes and answers is not None and answers != classes:
        path: KeyPath = ("model", "args", "num_classes")
        edit = ValueEdit(path, classes) if "num_classes" in recipe.model.args else None
        message = f"the model answers with {answers} values, the data has {classes} classes"
        yield LintFinding(
            "classes",
            "error" if answers < classes else "warning",
            origin_near(loaded, *path),
            message,
            f"num_classes: {classes}",
            edit,
        )


def _left_out(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    """Files of the data that are no samples."""
    named = loaded.recipe.data
    contents = contents_of(named.name, named.args, loaded.path.parent)
    if contents and contents.left_out:
        message = f"of the data is left out: {', '.join(contents.left_out)}"
        yield LintFinding("left-out", "note", origin_near(loaded, "data"), message)


def _training_samples(loaded: LoadedRecipe) -> int | None:
    from edgekit.pipeline.data import data_of

    try:
        return len(data_of(loaded).train)
    except EdgekitError:
        return None
