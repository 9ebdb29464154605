"""`edgekit.run`: the whole way in one call. Recipe → bundle → each target → results → verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement
from edgekit.measure.session import Side
from edgekit.pipeline.build import BuildResult, build
from edgekit.progress import Progress, silent
from edgekit.recipe.load import LoadedRecipe, as_loaded
from edgekit.verdict.budget import JudgedLimit
from edgekit.workflow.bench import BenchFailed
from edgekit.workflow.fleet import on_each, require_distinct
from edgekit.workflow.inputs import AnyTargets, bench_settings, read_targets
from edgekit.workflow.judge import judge
from edgekit.workflow.storing import Storing


@dataclass(frozen=True)
class RunResult:
    """A finished run: the build, the measurement of each target by its name, and the verdict on the
    budget."""

    build: BuildResult
    measurements: dict[str, Measurement]
    verdicts: tuple[JudgedLimit, ...]


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
    storing = Storing(store)
    built = build(loaded, output=output, progress=progress)
    work = partial(
        session.bench,
        [Side.whole(built.bundle)],
        settings=bench_settings(built.bundle, None),
        activate=True,
        keep=storing.keep,
    )
    outcomes = on_each(boards, work, progress=progress)
    measurements = {name: measured for name, (measured,) in outcomes.done.items()}
    result = RunResult(built, measurements, judge(built.bundle, measurements))
    if outcomes.failures:
        raise storing.noted(RunFailed(outcomes.failures, result))
    return storing.ended(result)
