"""The whole way in one call: recipe → bundle → each target → results → verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import store
from edgekit.bundle.manifest import Bundle
from edgekit.cancel import Cancel
from edgekit.devices.target import Target
from edgekit.devices.target_files import load_target
from edgekit.errors import EdgekitError
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import bench
from edgekit.pipeline.build import BuildResult, build
from edgekit.progress import Progress, silent
from edgekit.recipe.load import load_recipe
from edgekit.recipe.stored import stored_sections
from edgekit.verdict import budget
from edgekit.verdict.budget import Check
from edgekit.workflow.fleet import TargetsFailed, on_each, require_distinct


@dataclass(frozen=True)
class RunResult:
    """A finished run: the build, the measurement of each target by its name, and the verdict on the
    budget."""

    build: BuildResult
    measurements: dict[str, Measurement]
    checks: tuple[Check, ...]


class RunFailed(TargetsFailed):
    """Some of several targets failed; `result` is of the others."""

    def __init__(self, failures: dict[str, EdgekitError], result: RunResult) -> None:
        super().__init__(
            failures,
            result.measurements,
            told={name: found.as_dict() for name, found in result.measurements.items()},
        )
        self.result = result


def run(
    recipe: str | Path,
    *,
    targets: Sequence[str] = ("local",),
    overrides: Sequence[str] = (),
    output: str | Path = "build",
    progress: Progress = silent,
) -> RunResult:
    """Build a recipe, deploy the bundle to each target, measure every artifact there, keep the
    results, and judge the recipe's budget.

    Targets are names or files and are all read before anything is built, so that a typing error
    does not cost a training. Several are measured at the same time, and one that fails does not
    stop the others.

    Raises what `build` and `bench` raise; with several targets RunFailed, whose `result` is the
    RunResult of those that did not fail. What was measured before a failure is in the results
    store, marked incomplete."""
    loaded = load_recipe(Path(recipe), overrides=overrides)
    boards = [load_target(target) for target in targets]
    require_distinct(boards)
    built = build(loaded, output=output, progress=progress)
    settings = loaded.recipe.bench.model_dump()

    def measured(board: Target, show: Progress, cancel: Cancel) -> Measurement:
        measurement = bench(
            built.bundle, board, **settings, progress=show, on_partial=store.save, cancel=cancel
        )
        store.save(measurement)
        return measurement

    found = on_each(boards, measured, progress=progress)
    result = RunResult(built, found.done, judge(built.bundle, found.done))
    if found.failures:
        raise RunFailed(found.failures, result)
    return result


def judge(bundle: Bundle, measurements: dict[str, Measurement] | None = None) -> tuple[Check, ...]:
    """The verdict on the budget in a bundle's own recipe. Without measurements only size and
    accuracy are judged."""
    return budget.judge(
        stored_sections(bundle.manifest.recipe).budget, bundle.manifest, measurements or {}
    )
