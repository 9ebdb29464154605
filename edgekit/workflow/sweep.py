"""`edgekit.sweep`: one recipe with several values for some of its keys. Builds every combination,
measures all artifacts in turn in one session, and says which of them no other beats.

Combinations share what they have in common: a stage before the first difference is computed once,
and an artifact that is the same in all is measured once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgekit.boards.deploying import AnyTarget
from edgekit.bundle.manifest import Artifact
from edgekit.devices.target_files import as_target
from edgekit.errors import EdgekitError, UsageError
from edgekit.measure import session
from edgekit.measure.measurement import Measurement, metric_dicts
from edgekit.measure.session import Side
from edgekit.metrics import MetricValue, headline
from edgekit.pipeline.build import BuildResult, build
from edgekit.progress import Progress, silent
from edgekit.recipe.load import LoadedRecipe, load_recipe
from edgekit.stats import QuantileEstimate
from edgekit.workflow.inputs import bench_settings
from edgekit.workflow.storing import Storing

MOST_COMBINATIONS = 64

Settings = Mapping[str, str]


@dataclass(frozen=True)
class SweepCandidate:
    """An artifact of the sweep. `settings` are those of its combination, none for one that all
    combinations share. `p50_ns` is None where nothing was measured or may not be judged. `best`: no
    other artifact is at least as good in the headline metric, latency and size, and better in one
    of them."""

    settings: Settings
    artifact: Artifact
    bundle: Path
    p50_ns: QuantileEstimate | None
    best: bool = False

    @property
    def headline(self) -> MetricValue | None:
        """The task's first metric of the artifact on the test set; None without targets."""
        return headline(self.artifact.verification.metrics)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, the latency in ms."""
        p50 = self.p50_ns
        return {
            "settings": dict(self.settings),
            "artifact": self.artifact.key,
            "bundle": str(self.bundle),
            "bytes": self.artifact.file.bytes,
            "metrics": metric_dicts(self.artifact.verification.metrics),
            "p50_ms": None if p50 is None else p50.value / 1e6,
            "p50_low_ms": None if p50 is None or p50.low is None else p50.low / 1e6,
            "p50_high_ms": None if p50 is None or p50.high is None else p50.high / 1e6,
            "best": self.best,
        }


@dataclass(frozen=True)
class SweepResult:
    """What came of a sweep. `failures` are combinations that could not be built, with why."""

    candidates: tuple[SweepCandidate, ...]
    measurements: tuple[Measurement, ...]
    failures: tuple[tuple[Settings, EdgekitError], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "measurements": [measurement.as_dict() for measurement in self.measurements],
            "failures": [
                {"settings": dict(settings), "error": error.message, "hint": error.hint}
                for settings, error in self.failures
            ],
        }


def sweep(
    recipe: str | Path,
    over: Mapping[str, Sequence[str]],
    *,
    target: AnyTarget | None = None,
    overrides: Sequence[str] = (),
    output: str | Path = "build",
    store: bool = True,
    progress: Progress = silent,
) -> SweepResult:
    """Build a recipe with every combination of the values of `over`, measure all artifacts on a
    target in one session, and store the measurements.

    All recipes are read before anything is built. A combination that cannot be built does not stop
    the others. Latencies count as different where their intervals do not overlap.

    Args:
        recipe: A recipe's file.
        over: Values by key, as with `overrides`; at most 64 combinations.
        target: A target, as a value, a name or a file. Without one, nothing is measured, and
            artifacts are ranked by the task's headline metric and size.
        overrides: Values to replace in every combination, as `key.path=value`.
        output: The directory of bundles.
        store: Whether the measurements go to the results database.
        progress: Told where the work is.

    Returns:
        The artifacts with the best trade-offs marked, the measurements, and what failed.

    Raises:
        UsageError: The recipe, an override or the number of combinations is wrong.
        EdgekitError: As `build` raises it when no combination can be built, and as `bench` does.

    Example:
        >>> observers = {"stages.int8.observer": ["minmax", "histogram"]}
        >>> swept = edgekit.sweep("quickstart.yaml", observers)
        >>> any(candidate.best for candidate in swept.candidates)
        True
    """
    combinations = _combinations(over)
    board = None if target is None else as_target(target)
    storing = Storing(store and board is not None)
    recipes = [
        load_recipe(recipe, overrides=[*overrides, *_as_overrides(combination)])
        for combination in combinations
    ]
    built, failures = _build_all(combinations, recipes, output, progress)
    if not built:
        raise failures[0][1]
    sides = _distinct(built)
    measured: tuple[Measurement, ...] = ()
    if board is not None:
        measured = session.bench(
            [side for _, side in sides],
            board,
            bench_settings(built[0][1].bundle, None),
            keep=storing.keep,
            progress=progress,
        )
    candidates = _candidates(sides, measured, shared=len(combinations) > 1)
    return storing.ended(SweepResult(_ranked(candidates), measured, tuple(failures)))


def _combinations(over: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every choice of one value for each key. Raises UsageError: none, or too many."""
    combinations = [
        dict(zip(over, values, strict=True)) for values in itertools.product(*over.values()) if over
    ]
    if not 1 <= len(combinations) <= MOST_COMBINATIONS:
        raise UsageError(
            f"{len(combinations)} combinations to sweep over",
            hint=f"1 to {MOST_COMBINATIONS}; give values as KEY=A,B,C",
        )
    return combinations


def _as_overrides(combination: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in combination.items()]


def _build_all(
    combinations: Sequence[Settings],
    recipes: Sequence[LoadedRecipe],
    output: str | Path,
    progress: Progress,
) -> tuple[list[tuple[Settings, BuildResult]], list[tuple[Settings, EdgekitError]]]:
    """The builds by their settings, and what could not be built, with why."""
    built: list[tuple[Settings, BuildResult]] = []
    failures: list[tuple[Settings, EdgekitError]] = []
    for number, (combination, recipe) in enumerate(zip(combinations, recipes, strict=True), 1):
        show = _numbered(progress, number, len(combinations))
        try:
            built.append((combination, build(recipe, output=output, progress=show)))
        except EdgekitError as error:
            failures.append((combination, error))
    return built, failures


def _numbered(progress: Progress, number: int, combinations: int) -> Progress:
    def show(task: str, done: float, total: float, text: str = "") -> None:
        progress(f"{number}/{combinations} {task}", done, total, text)

    return show


def _distinct(built: Sequence[tuple[Settings, BuildResult]]) -> list[tuple[Settings, Side]]:
    """Each bundle with those of its artifacts that no bundle before it has."""
    seen: set[str] = set()
    sides = []
    for settings, result in built:
        new = [
            artifact
            for artifact in result.bundle.manifest.artifacts
            if artifact.file.sha256 not in seen
        ]
        seen |= {artifact.file.sha256 for artifact in new}
        if new:
            sides.append((settings, Side(result.bundle, tuple(artifact.key for artifact in new))))
    return sides


def _candidates(
    sides: Sequence[tuple[Settings, Side]], measured: Sequence[Measurement], *, shared: bool
) -> list[SweepCandidate]:
    in_the_last = {artifact.file.sha256 for artifact in sides[-1][1].bundle.manifest.artifacts}
    candidates = []
    for number, (settings, side) in enumerate(sides):
        for artifact in side.bundle.manifest.artifacts:
            if artifact.key not in side.keys:
                continue
            # The first bundle holds what all share; the last one shows whether all do.
            in_all = shared and number == 0 and artifact.file.sha256 in in_the_last
            p50 = _judged_p50(measured[number], artifact.key) if measured else None
            candidates.append(
                SweepCandidate({} if in_all else settings, artifact, side.bundle.path, p50)
            )
    return candidates


def _judged_p50(measured: Measurement, key: str) -> QuantileEstimate | None:
    return (
        measured.summaries[key].p50
        if key in measured.summaries and not measured.unjudged(key)
        else None
    )


def _ranked(candidates: Sequence[SweepCandidate]) -> tuple[SweepCandidate, ...]:
    """With those marked that no other beats, the fastest or else the smallest first."""
    marked = [
        replace(candidate, best=not any(_beats(other, candidate) for other in candidates))
        for candidate in candidates
    ]
    return tuple(sorted(marked, key=_order))


def _order(candidate: SweepCandidate) -> tuple[float, int]:
    p50_ns = candidate.p50_ns.value if candidate.p50_ns else 0.0
    return p50_ns, candidate.artifact.file.bytes


def _beats(a: SweepCandidate, b: SweepCandidate) -> bool:
    """Whether `a` is at least as good as `b` in everything, and better in something. Negative: `a`
    is better."""
    gains = [a.artifact.file.bytes - b.artifact.file.bytes]
    if a.headline is not None and b.headline is not None:
        gains.append(round(1e6 * b.headline.drop(b.headline.value, a.headline.value)))
    if a.p50_ns is not None and b.p50_ns is not None:
        gains.append(_slower(a.p50_ns, b.p50_ns))
    return max(gains) <= 0 and min(gains) < 0


def _slower(a: QuantileEstimate, b: QuantileEstimate) -> int:
    """1, −1, or 0 when the intervals overlap. Without an interval an estimate is its value."""
    if (a.low or a.value) > (b.high or b.value):
        return 1
    return -1 if (a.high or a.value) < (b.low or b.value) else 0
