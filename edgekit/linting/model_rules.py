"""Looking over a recipe before it runs, with its model and with the board it is for: what cannot be
pruned or quantized, what falls back to slow kernels, what a budget cannot get. Owns these rules but
those that belong to one method (compress/); those that need no model are document_rules.py's.

Knowledge is asked for, not kept in lists: which channels hang together is DepGraph's, what is
quantized the quantizer's, what falls back the partitioner's, and what a board has packages for the
package index's."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.lookup import load_backend, runs
from edgekit.compress.sections import QuantizeBase
from edgekit.data.outline import outline_of
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import EdgekitError
from edgekit.linting.document_rules import LintFinding, finding, lint_text, origin_near
from edgekit.prose import some
from edgekit.recipe.lineage import stage_name
from edgekit.recipe.load import LoadedRecipe, load_recipe
from edgekit.yaml_documents.edits import ValueEdit
from edgekit.yaml_documents.problems import KeyPath, quoted

if TYPE_CHECKING:
    from edgekit.pipeline.preview import Preview

ORDER = ("error", "warning", "note")
FILE_SLACK_RATIO, FILE_SLACK_BYTES = 1.25, 65536
"""By how much a float artifact may be larger than its weights: names, graph, alignment. Generous,
so that only the impossible is called so."""


def lint(
    recipe: str | Path | LoadedRecipe,
    *,
    overrides: Sequence[str] = (),
    target: Target | str | Path | None = None,
) -> tuple[LintFinding, ...]:
    """Look over a recipe, with its model where the extra `export` is installed, and with a board
    where `target` names one.

    Nothing is trained. Data is loaded where a schedule counts its samples, and of a folder of
    images one is read.

    Args:
        recipe: A loaded recipe or its file.
        overrides: Values to replace, as `key.path=value`; only for a file.
        target: A target, as a value, a name or a file. Its board is connected to.

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
                "pip install 'edgekit[export]'",
            )
        )
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the libraries say of themselves
            findings += _with_model(loaded)
    if target is not None:
        findings += _with_board(loaded, as_target(target))
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


def _with_model(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    from edgekit.pipeline.preview import preview

    try:
        seen = preview(loaded)
    except EdgekitError as error:
        yield LintFinding("model", "error", origin_near(loaded, "model"), error.message, error.hint)
        return
    yield from _data(loaded, seen)
    for index, estimate in enumerate(seen.stages):
        if estimate.problem is not None:
            yield LintFinding(
                "cannot-prune",
                "error",
                origin_near(loaded, "stages", index),
                estimate.problem.message,
                estimate.problem.hint,
            )
        unknown = list(_patterns(loaded, index, seen))
        yield from unknown
        yield from _samples(loaded, index)
        if not unknown:
            yield from _method(loaded, index, seen)
            yield from _exported(loaded, index, seen)
    yield from _out_of_reach(loaded, seen)


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
                yield LintFinding(
                    "unknown-layer", "error", origin_near(loaded, *path), error.message, error.hint
                )


def _method(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    """What the stage's method says of its network."""
    stage = loaded.recipe.stages[index]
    if seen.stages[index].problem is None:
        model = seen.models[stage_name(loaded.recipe, index)]
        for remark in stage.entry.lint_model(stage, model, seen.example):
            yield finding(loaded, index, remark)


def _samples(loaded: LoadedRecipe, index: int) -> Iterator[LintFinding]:
    """What the stage's method says of the number of training samples."""
    stage = loaded.recipe.stages[index]
    for remark in stage.entry.lint_samples(stage, lambda: _training_samples(loaded)):
        yield finding(loaded, index, remark)


def _data(loaded: LoadedRecipe, seen: Preview) -> Iterator[LintFinding]:
    """Data that is not there, and a model that answers for another number of classes than the data
    has."""
    from edgekit.models.calling import call
    from edgekit.tasks.task import load_task

    recipe = loaded.recipe
    try:
        outline = outline_of(recipe.data.name, recipe.data.args, loaded.path.parent)
    except EdgekitError as error:
        yield LintFinding("data", "error", origin_near(loaded, "data"), error.message, error.hint)
        return
    classes = outline.classes if outline is not None and outline.labelled else 0
    outputs = call(seen.models[stage_name(recipe, 0)], seen.example)
    shapes = {name: tuple(values.shape[1:]) for name, values in outputs.items()}
    answers = load_task(recipe.task, loaded.path.parent).classes_of(shapes)
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


def _training_samples(loaded: LoadedRecipe) -> int | None:
    from edgekit.pipeline.data import data_of

    try:
        return len(data_of(loaded).train)
    except EdgekitError:
        return None


def _exported(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    """What the backends would run into with a stage that is published."""
    stage = loaded.recipe.stages[index]
    if not stage.export:
        return
    if stage.entry.scheme.activations == "static":
        yield from _guarded(loaded, index, lambda: _stays_float(loaded, index, seen))
    for name in loaded.recipe.export.backends:
        yield from _guarded(loaded, index, functools.partial(_predicted, loaded, index, seen, name))


def _guarded(
    loaded: LoadedRecipe, index: int, look: Callable[[], Iterator[LintFinding]]
) -> Iterator[LintFinding]:
    try:
        yield from look()
    except EdgekitError as error:
        yield LintFinding(
            "cannot-export",
            "error",
            origin_near(loaded, "stages", index),
            error.message,
            error.hint,
        )


def _predicted(loaded: LoadedRecipe, index: int, seen: Preview, name: str) -> Iterator[LintFinding]:
    """What one backend foresees. A scheme that it does not run is found without the model
    (document_rules.py)."""
    stage = loaded.recipe.stages[index]
    backend = load_backend(name, loaded.path.parent)
    scheme = stage.entry.scheme
    if not runs(backend, scheme):
        return
    from edgekit.models.calling import rows

    model = seen.models[stage_name(loaded.recipe, index)]
    keep_float = stage.keep_float if isinstance(stage, QuantizeBase) else ()
    example = rows(seen.example, slice(1))
    for remark in backend.predict(model, example, scheme=scheme, keep_float=keep_float):
        yield finding(loaded, index, remark)


def _stays_float(loaded: LoadedRecipe, index: int, seen: Preview) -> Iterator[LintFinding]:
    from edgekit.compress.quantize.float_layers import float_layers
    from edgekit.compress.quantize.pt2e import prepare_ptq

    stage = loaded.recipe.stages[index]
    assert isinstance(stage, QuantizeBase)
    left = float_layers(
        prepare_ptq(
            seen.models[stage_name(loaded.recipe, index)], seen.example, keep_float=stage.keep_float
        )
    )
    if unasked := [name for name in left if not _kept(name, stage.keep_float)]:
        message = (
            f"{some(unasked)} will not be quantized: the quantizer has no int8 form of what is"
            " there"
        )
        fix = "method: dynamic or weight_only, or list them in keep_float"
        yield LintFinding(
            "stays-float", "warning", origin_near(loaded, "stages", index, "method"), message, fix
        )


def _kept(name: str, patterns: Sequence[str]) -> bool:
    from edgekit.compress.patterns import matches

    return matches(name, patterns)


def _out_of_reach(loaded: LoadedRecipe, seen: Preview) -> Iterator[LintFinding]:
    recipe = loaded.recipe
    by_variant = {
        stage.export: seen.stages[index]
        for index, stage in enumerate(recipe.stages)
        if stage.export
    }
    baseline = by_variant[recipe.budget.baseline or next(iter(by_variant))]
    largest = baseline.weight_bytes * FILE_SLACK_RATIO + FILE_SLACK_BYTES
    for variant, limits in recipe.budget.variants.items():
        least = by_variant[variant].weight_bytes
        path: KeyPath = ("budget", "variants", variant)
        if limits.size_max_bytes is not None and limits.size_max_bytes < least:
            message = (
                f"size_max_bytes {limits.size_max_bytes}: the weights of {variant} alone take"
                f" {least}"
            )
            yield LintFinding(
                "budget-out-of-reach",
                "error",
                origin_near(loaded, *path, "size_max_bytes"),
                message,
                "prune more, or raise the limit",
            )
        if (
            limits.size_min_shrink_ratio is not None
            and least
            and limits.size_min_shrink_ratio > largest / least
        ):
            limit_text = f"size_min_shrink_ratio {limits.size_min_shrink_ratio:g}"
            message = (
                f"{limit_text}: {variant} holds {least} bytes of weights, at best"
                f" {largest / least:.2g} times fewer than the baseline"
            )
            yield LintFinding(
                "budget-out-of-reach",
                "error",
                origin_near(loaded, *path, "size_min_shrink_ratio"),
                message,
                "prune more, or lower the limit",
            )


def _with_board(loaded: LoadedRecipe, target: Target) -> Iterator[LintFinding]:
    from edgekit.devices import connect
    from edgekit.runners.board_platform import platform_of
    from edgekit.runners.runtime import runtime_for

    origin = origin_near(loaded, "export")
    try:
        with closing(connect(target)) as device:
            platform = platform_of(target, device)
    except EdgekitError as error:
        yield LintFinding("board", "error", origin, f"{target.name}: {error.message}", error.hint)
        return
    backends = [load_backend(name, loaded.path.parent) for name in loaded.recipe.export.backends]
    for runtime in dict.fromkeys(backend.runtime for backend in backends):
        if target.runners.program(runtime) is None:
            try:
                runtime_for(runtime, platform)
            except EdgekitError as error:
                yield LintFinding(
                    "no-runtime",
                    "error",
                    origin,
                    f"{quoted(target.name)} cannot run {runtime}: {error.message}",
                    error.hint,
                )
