"""`edgekit.run`: the whole way in one call. Recipe → bundle → each target → results → verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgekit.bundle.directory import Bundle
from edgekit.errors import EdgekitError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Side
from edgekit.pipeline.build import BuildResult, build
from edgekit.progress import Progress, silent
from edgekit.recipe.load import LoadedRecipe, as_loaded
from edgekit.recipe.stored import stored_sections
from edgekit.verdict import budget
from edgekit.verdict.budget import JudgedLimit
from edgekit.workflow.bench import BenchFailed
from edgekit.workflow.fleet import on_each, require_distinct
from edgekit.workflow.inputs import AnyTargets, bench_settings, keep_in, read_targets


@dataclass(frozen=True)
class RunResult:
    """A finished run: the build, the measurement of each target by its name, and the verdict on the
    budget."""

    build: BuildResult
    measurements: dict[str, Measurement]
    checks: tuple[JudgedLimit, ...]


class RunFailed(BenchFailed):
    """Some of several targets failed; `result` is the run of the others."""

    def __init__(self, failures: dict[str, EdgekitError], result: RunResult) -> None:
        super().__init__(failures, result.measurements)
        self.result = result


def run(
    recipe: str | Path | LoadedRecipe,
    *,
    targets: AnyTargets = "local",
    overrides: Sequence[str] = (),
    output: str | Path = "build",
    store: bool = True,
    progress: Progress = silent,
) -> RunResult:
    """Build a recipe, deploy the bundle to each target, measure every artifact there, store the
    results, and judge the recipe's budget.

    All targets are read before anything is built, so that a typing error does not cost a training.
    Several are measured at the same time, and one that fails does not stop the others.

    Args:
        recipe: A recipe's file, or a recipe that is loaded already.
        targets: One target or several, each as a value, a name or a file.
        overrides: Values to replace in the recipe's file, as `key.path=value`.
        output: The directory of bundles.
        store: Whether the measurements go to the results database. They are returned either way.
        progress: Told where the work is.

    Returns:
        The build, the measurement of each target by its name, and the verdict on the budget.

    Raises:
        RunFailed: Some of several targets failed; its `result` is the run of the others.
        UsageError: The recipe, an override or a target is wrong.
        ModelError, ExportError, BusyError: As `build` raises them.
        TransportError, IdentityError, DeviceError, RunnerError, ResultError: As `bench` raises
            them.

    Example:
        >>> result = edgekit.run("quickstart.yaml", targets="local", overrides=["bench.runs=1"])
        >>> sorted(result.measurements)
        ['local']
    """
    loaded = as_loaded(recipe, overrides)
    boards = read_targets(targets)
    require_distinct(boards)
    built = build(loaded, output=output, progress=progress)
    work = partial(
        session.bench,
        [Side.whole(built.bundle)],
        settings=bench_settings(built.bundle, None),
        activate=True,
        keep=keep_in(store),
    )
    outcomes = on_each(boards, work, progress=progress)
    measurements = {name: measured for name, (measured,) in outcomes.done.items()}
    result = RunResult(built, measurements, judge(built.bundle, measurements))
    if outcomes.failures:
        raise RunFailed(outcomes.failures, result)
    return result


def judge(
    bundle: Bundle, measurements: dict[str, Measurement] | None = None
) -> tuple[JudgedLimit, ...]:
    """The verdict on the budget in a bundle's own recipe.

    Args:
        bundle: An open bundle.
        measurements: Measurements of it by the name of their target. Without any, only what was
            found at build time is judged: size, and the task's metrics on the test set.

    Returns:
        One check for each limit and artifact.

    Raises:
        UsageError: The recipe in the bundle holds something that this edgekit does not know.

    Example:
        >>> edgekit.judge(edgekit.open_bundle("net"))
        ()
    """
    return budget.judge(
        stored_sections(bundle.manifest.recipe).budget, bundle.manifest, measurements or {}
    )
