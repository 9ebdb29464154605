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

from edgekit.bundle.manifest import Artifact
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import EdgekitError, UsageError
from edgekit.measure.interleaving import Partial
from edgekit.measure.measurement import Measurement, metric_dicts
from edgekit.measure.session import Side, bench_together
from edgekit.metrics import MetricValue, headline
from edgekit.pipeline.build import BuildResult, build
from edgekit.progress import Progress, silent
from edgekit.recipe.load import load_recipe
from edgekit.stats import Estimate
from edgekit.workflow.compare import bench_settings

MOST_COMBINATIONS = 64

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Candidate:
    """An artifact of the sweep. `settings` are those of its combination, none for one that all
    combinations share. `p50_ns` is None where nothing was measured or may not be judged. `best`: no
    other artifact is at least as good in the headline metric, latency and size, and better in one of
    them."""

    settings: Settings
    artifact: Artifact
    bundle: Path
    p50_ns: Estimate | None
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
class Swept:
    """What came of a sweep. `failures` are combinations that could not be built, with why."""

    candidates: tuple[Candidate, ...]
    measurements: tuple[Measurement, ...]
    failures: tuple[tuple[Settings, EdgekitError], ...]


def sweep(
    recipe: str | Path,
    over: Mapping[str, Sequence[str]],
    *,
    target: Target | str | None = None,
    overrides: Sequence[str] = (),
    output: str | Path = "build",
    progress: Progress = silent,
    on_partial: Partial | None = None,
) -> Swept:
    """Build a recipe with every combination of the values of `over` (keys and values as with
    `--set`), and measure all artifacts on a target.

    All recipes are read before anything is built. Without a target, artifacts are ranked by
    accuracy and size. A combination that cannot be built does not stop the others. Latencies count
    as different where their intervals do not overlap.

    Raises UsageError (recipe, an override, too many combinations), what `build` raises when no
    combination can be built, and what `bench` raises."""
    combinations = [
        dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())
    ]
    if not over or len(combinations) > MOST_COMBINATIONS or not combinations:
        raise UsageError(
            f"{len(combinations) if over else 0} combinations to sweep over",
            hint=f"1 to {MOST_COMBINATIONS}; give values as KEY=A,B,C",
        )
    board = None if target is None else as_target(target)
    loaded = [
        load_recipe(
            Path(recipe), overrides=[*overrides, *(f"{key}={value}" for key, value in one.items())]
        )
        for one in combinations
    ]
    built: list[tuple[Settings, BuildResult]] = []
    failures: list[tuple[Settings, EdgekitError]] = []
    for number, (settings, one) in enumerate(zip(combinations, loaded, strict=True), 1):
        try:
            built.append(
                (
                    settings,
                    build(
                        one, output=output, progress=_numbered(progress, number, len(combinations))
                    ),
                )
            )
        except EdgekitError as error:
            failures.append((settings, error))
    if not built:
        raise failures[0][1]
    sides = _distinct(built)
    measured: tuple[Measurement, ...] = ()
    if board is not None:
        settings_of_bench = bench_settings(built[0][1].bundle, None)
        measured = bench_together(
            [side for _, side in sides],
            board,
            **settings_of_bench,
            progress=progress,
            on_partial=on_partial,
        )
    return Swept(
        _ranked(_candidates(sides, measured, shared=len(combinations) > 1)),
        measured,
        tuple(failures),
    )


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
) -> list[Candidate]:
    last = {artifact.file.sha256 for artifact in sides[-1][1].bundle.manifest.artifacts}
    found = []
    for number, (settings, side) in enumerate(sides):
        for key in side.keys:
            artifact = next(one for one in side.bundle.manifest.artifacts if one.key == key)
            everywhere = shared and number == 0 and artifact.file.sha256 in last
            p50 = _judged_p50(measured[number], key) if measured else None
            found.append(Candidate({} if everywhere else settings, artifact, side.bundle.path, p50))
    return found


def _judged_p50(measured: Measurement, key: str) -> Estimate | None:
    return (
        measured.summaries[key].p50
        if key in measured.summaries and not measured.unjudged(key)
        else None
    )


def _ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """With those marked that no other beats, the fastest or else the smallest first."""
    marked = [
        replace(one, best=not any(_beats(other, one) for other in candidates)) for one in candidates
    ]
    return tuple(
        sorted(
            marked,
            key=lambda one: (one.p50_ns.value if one.p50_ns else 0.0, one.artifact.file.bytes),
        )
    )


def _beats(other: Candidate, one: Candidate) -> bool:
    gains = [other.artifact.file.bytes - one.artifact.file.bytes]
    if one.headline is not None and other.headline is not None:
        drop = one.headline.drop(one.headline.value, other.headline.value)
        gains.append(round(1e6 * drop))
    if one.p50_ns is not None and other.p50_ns is not None:
        gains.append(_slower(other.p50_ns, one.p50_ns))
    return max(gains) <= 0 and min(gains) < 0


def _slower(other: Estimate, one: Estimate) -> int:
    """1, −1, or 0 when the intervals overlap. Without an interval an estimate is its value."""
    low, high = (other.low or other.value), (other.high or other.value)
    if low > (one.high or one.value):
        return 1
    return -1 if high < (one.low or one.value) else 0
