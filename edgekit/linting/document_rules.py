"""What is allowed in a recipe and still not meant: rules that need no model. Owns what a finding
is; with the model and a board go model_rules.py's.

A finding that has a `ValueEdit` can be put right mechanically (fixes.py): one value at one path,
`REMOVE` for none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.backends import BACKENDS
from edgekit.backends.backend import Backend, require_dynamic
from edgekit.backends.lookup import load_backend, runs
from edgekit.compress.remarks import Place, Remark, Severity
from edgekit.compress.scheme import Scheme
from edgekit.compress.sections import Training, trainings
from edgekit.errors import EdgekitError, ExportError
from edgekit.recipe.lineage import lineage, parent_of, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.yaml_documents.edits import ValueEdit
from edgekit.yaml_documents.problems import KeyPath, Origin, quoted

FULL_RUNS = 10


@dataclass(frozen=True)
class LintFinding:
    """`error`: a run would fail, or cannot meet its budget; `warning`: it would not do what it
    looks like; `note`: worth knowing."""

    code: str
    severity: Severity
    origin: Origin
    message: str
    fix: str = ""
    edit: ValueEdit | None = None

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


def lint_text(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    """What the recipe alone tells."""
    for index, stage in enumerate(loaded.recipe.stages):
        yield from _unused(loaded, index)
        for path, training in trainings(stage):
            yield from _schedule(loaded, ("stages", index, *path), training)
        yield from _schemes(loaded, index)
        lint = functools.partial(stage.entry.lint, stage, _place(loaded, index))
        yield from method_findings(loaded, index, lint)
    yield from _dynamic_sizes(loaded)
    yield from _quick(loaded)


def origin_near(loaded: LoadedRecipe, *path: str | int) -> Origin:
    """Where the nearest written value around a path is."""
    while path and (path not in loaded.origins or loaded.origins[path].line is None):
        path = path[:-1]
    return loaded.origins[path] if path else Origin(str(loaded.path), 1, 1)


def error_finding(code: str, origin: Origin, error: EdgekitError) -> LintFinding:
    """An error that a run would end with."""
    return LintFinding(code, "error", origin, error.message, error.hint)


def method_findings(
    loaded: LoadedRecipe, index: int, lint: Callable[[], Iterable[Remark]]
) -> Iterator[LintFinding]:
    """What a method says of its stage; that it fails itself is one thing more to say."""
    try:
        for remark in lint():
            yield finding(loaded, index, remark)
    except EdgekitError as error:
        yield error_finding("method", origin_near(loaded, "stages", index, "method"), error)


def finding(loaded: LoadedRecipe, index: int, remark: Remark) -> LintFinding:
    """A method's remark on a stage, at its place in the file."""
    stage: KeyPath = ("stages", index)
    edit = remark.edit and ValueEdit((*stage, *remark.edit.path), remark.edit.value)
    return LintFinding(
        remark.code,
        remark.severity,
        origin_near(loaded, *stage, *remark.path),
        remark.message,
        remark.fix,
        edit,
    )


def _place(loaded: LoadedRecipe, index: int) -> Place:
    stages = loaded.recipe.stages
    later = [i for i in range(index + 1, len(stages)) if index in lineage(loaded.recipe, i)]
    return Place(
        stage_name(loaded.recipe, index),
        following=tuple(stages[i] for i in children(loaded, index)),
        later=tuple(stages[i] for i in later),
    )


def children(loaded: LoadedRecipe, index: int) -> list[int]:
    return [i for i in range(len(loaded.recipe.stages)) if parent_of(loaded.recipe, i) == index]


def _unused(loaded: LoadedRecipe, index: int) -> Iterator[LintFinding]:
    recipe = loaded.recipe
    name = stage_name(loaded.recipe, index)
    teachers = {
        t.distill.teacher for stage in recipe.stages for _, t in trainings(stage) if t.distill
    }
    if recipe.stages[index].export is None and not children(loaded, index) and name not in teachers:
        message = f"the result of stage {quoted(name)} is used by nothing"
        yield LintFinding(
            "unused-stage",
            "warning",
            loaded.origins["stages", index],
            message,
            "add `export: NAME`, or take the stage out",
        )


def _schedule(loaded: LoadedRecipe, path: KeyPath, training: Training) -> Iterator[LintFinding]:
    if training.schedule == "step" and training.step_epochs >= training.epochs:
        message = (
            f"the first step of the learning rate comes after {training.step_epochs:g} epochs, and"
            f" the training ends after {training.epochs:g}"
        )
        edit = ValueEdit((*path, "schedule"), "constant")
        yield LintFinding(
            "schedule-after-training",
            "warning",
            loaded.origins[*path, "schedule"],
            message,
            "lower step_epochs, or say `constant`",
            edit,
        )


def _schemes(loaded: LoadedRecipe, index: int) -> Iterator[LintFinding]:
    """Backends that do not run what a stage publishes."""
    stage = loaded.recipe.stages[index]
    names = loaded.recipe.export.backends
    scheme = stage.entry.scheme
    for position, name in enumerate(names if stage.export else ()):
        backend = load_backend(name, loaded.path.parent)
        try:
            backend.require(scheme)
        except ExportError as error:
            path: KeyPath = ("export", "backends", position)
            other = _other_backend(backend, scheme, names)
            yield LintFinding(
                "needs-other-backend",
                "error",
                origin_near(loaded, *path),
                f"stage {quoted(stage_name(loaded.recipe, index))}: {error.message}",
                f"take {other} instead, or use another method" if other else error.hint,
                ValueEdit(path, other) if other else None,
            )


def _dynamic_sizes(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    """Backends whose files have fixed sizes, where an input has dynamic ones."""
    recipe = loaded.recipe
    if not any(section.dynamic for section in recipe.inputs.values()):
        return
    for position, name in enumerate(recipe.export.backends):
        try:
            require_dynamic(load_backend(name, loaded.path.parent))
        except ExportError as error:
            origin = origin_near(loaded, "export", "backends", position)
            yield LintFinding("fixed-sizes", "error", origin, error.message, error.hint)


def _other_backend(backend: Backend, scheme: Scheme, names: Sequence[str]) -> str | None:
    """A built-in backend for the same runtime that runs a scheme, and is not named yet."""
    for name in BACKENDS:
        other = load_backend(name)
        if other.runtime == backend.runtime and name not in names and runs(other, scheme):
            return name
    return None


def _quick(loaded: LoadedRecipe) -> Iterator[LintFinding]:
    recipe = loaded.recipe
    timed = [
        name
        for name, limits in recipe.budget.variants.items()
        if limits.latency_p50_max_ms or limits.latency_min_speedup_ratio or limits.deadline_ms
    ]
    if timed and recipe.bench.runs < FULL_RUNS:
        message = (
            f"{recipe.bench.runs} runs are a quick measurement, which judges no latency, and the"
            f" budget of {', '.join(timed)} has one"
        )
        path: KeyPath = ("bench", "runs")
        yield LintFinding(
            "quick-budget",
            "warning",
            loaded.origins[path],
            message,
            f"runs: {FULL_RUNS}",
            ValueEdit(path, FULL_RUNS),
        )
