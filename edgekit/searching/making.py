"""A candidate made, as far as it is asked for: its network counted, its file lowered untrained and
measured, its trainings run for a part or whole. Stages and exports come from the cache.

Owns what is built and measured; what follows from the figures is trials.py's."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import TraceRow
from edgekit.compress.sections import trainings
from edgekit.devices.target import Target
from edgekit.errors import BusyError, ResultError
from edgekit.export.processes import SharedServer
from edgekit.measure import session
from edgekit.measure.session import Side
from edgekit.pipeline.build import BuildResult, build_with, run_stages
from edgekit.pipeline.estimates import estimate
from edgekit.progress import Progress, silent
from edgekit.recipe.dotted_keys import parts_of
from edgekit.recipe.lineage import lineage, stage_name
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.schema import Recipe
from edgekit.recipe.variants import (
    epochs_of,
    last_float_stage,
    leading_to,
    trained_for,
    untrained,
    up_to,
    without_pictures,
)
from edgekit.searching.figures import (
    METRICS,
    Judged,
    SearchFigure,
    built_figures,
    measured_figures,
    metric_figures,
    not_judged,
)
from edgekit.searching.goals import OF_A_BOARD, TIMES, Goals
from edgekit.workflow.inputs import bench_settings

Result = TypeVar("Result")
Figures = dict[str, SearchFigure]
PATIENCE_S = 1800.0
"""So long a search waits for a stage or a board that another process has."""
LOOK_S = 1.0


@dataclass(frozen=True)
class Lowered:
    """What an untrained file tells. `file` names the files that were measured, empty where none
    was."""

    figures: Figures
    file: str = ""


@dataclass(frozen=True)
class Trained:
    """What a training of some length gave. `epochs` and `seconds` are those of the searched stages
    that ran for it."""

    figures: Figures
    epochs: float
    seconds: float


class Workbench:
    """Where the candidates of a search are made: a server for exports, a place for bundles, and
    perhaps a board. A context manager."""

    def __init__(self, goals: Goals, judged: Judged, board: Target | None) -> None:
        self._goals = goals
        self._judged = judged
        self._board = board
        self._progress: Progress = silent
        self._server = SharedServer()
        self._bundles = Path(tempfile.mkdtemp(prefix="edgekit-search-"))

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.close()
        shutil.rmtree(self._bundles, ignore_errors=True)

    def show(self, progress: Progress) -> None:
        """Tell this from now on where the work is."""
        self._progress = progress

    def part_of(self, loaded: LoadedRecipe) -> LoadedRecipe:
        """The part of a candidate's recipe that is judged."""
        judged = self._judged
        variants = {judged.variant, *([judged.baseline] if self._goals.needs_baseline else [])}
        backends = [judged.backend]
        if self._goals.needs(["runtimes_agreement_percent"]):
            backends = list(loaded.recipe.export.backends)
        return without_pictures(leading_to(loaded, variants, backends))

    def counted(self, part: LoadedRecipe) -> Figures:
        """The MACs of the network, without data and without training."""
        stages = {stage.name: stage for stage in estimate(part)}
        for stage in stages.values():
            if stage.problem is not None:
                raise stage.problem
        return {"macs": SearchFigure.exact(stages[self._stage(part.recipe)].macs)}

    def lowered(self, part: LoadedRecipe, measured: Mapping[str, Figures]) -> Lowered:
        """The file of the network, hardly trained: its size, and where that is asked for, what the
        board tells. `measured` is what is known of files already.

        Raises ResultError: the board's times mean nothing."""
        built = self._built(untrained(part))
        try:
            figures = built_figures(built.bundle.manifest, self._judged, self._stage(part.recipe))
            figures.pop("runtimes_agreement_percent", None)  # of answers that were not learned
            if self._board is None or not self._goals.needs(OF_A_BOARD):
                return Lowered(figures)
            file = self._files(built.bundle)
            known = measured.get(file) or self._measured(built.bundle, self._board)
            return Lowered(figures | known, file)
        finally:
            shutil.rmtree(built.bundle.path, ignore_errors=True)

    def half_trained(
        self, part: LoadedRecipe, fraction: float, searched: Collection[str]
    ) -> Trained:
        """The candidate, trained for a fraction of its epochs, in what it can be compared by with
        others. Where nothing is trained after its last float stage, that is this stage's; else it
        is exported."""
        stage = last_float_stage(part.recipe, self._judged.variant)
        if stage is None or self._goals.needs(["size_bytes"]):
            return self.trained(part, fraction, searched)
        shorter = trained_for(up_to(part, stage), fraction, searched)
        rows = patiently(lambda: run_stages(shorter, self._progress), self._progress)
        row = next(row for row in rows if row.stage == stage)
        figures = {
            f"{METRICS}{metric.name}": SearchFigure(metric.value, metric.low, metric.high)
            for metric in row.metrics
        }
        return _of_trace(figures, rows, shorter.recipe, searched)

    def trained(self, part: LoadedRecipe, fraction: float, searched: Collection[str]) -> Trained:
        """The candidate, trained for a fraction of its epochs and exported."""
        shorter = trained_for(part, fraction, searched)
        built = self._built(shorter)
        manifest = built.bundle.manifest
        shutil.rmtree(built.bundle.path, ignore_errors=True)
        figures = built_figures(manifest, self._judged, self._stage(part.recipe))
        figures |= metric_figures(manifest, self._judged)
        return _of_trace(figures, built.trace, shorter.recipe, searched)

    def _stage(self, recipe: Recipe) -> str:
        """The stage that exports the variant."""
        index = next(
            index
            for index, stage in enumerate(recipe.stages)
            if stage.export == self._judged.variant
        )
        return stage_name(recipe, index)

    def _built(self, loaded: LoadedRecipe) -> BuildResult:
        return patiently(
            lambda: build_with(self._server, loaded, self._bundles, self._progress), self._progress
        )

    def _files(self, bundle: Bundle) -> str:
        """The files that are measured, by their content."""
        base = self._judged.base(bundle.manifest) if self._needs_speedup else None
        artifacts = [self._judged.artifact(bundle.manifest), *([base] if base else [])]
        return " ".join(artifact.file.sha256[:16] for artifact in artifacts)

    @property
    def _needs_speedup(self) -> bool:
        return self._goals.needs(["latency_speedup_ratio"])

    def _measured(self, bundle: Bundle, board: Target) -> Figures:
        artifact = self._judged.artifact(bundle.manifest)
        base = self._judged.base(bundle.manifest) if self._needs_speedup else None
        keys = tuple(dict.fromkeys([artifact.key, *([base.key] if base else [])]))
        settings = bench_settings(bundle, None)
        measurement = patiently(
            lambda: session.bench([Side(bundle, keys)], board, settings, progress=self._progress)[
                0
            ],
            self._progress,
        )
        reason = not_judged(measurement, artifact.key)
        if reason and self._goals.needs(TIMES):
            raise ResultError(f"{board.name}: {reason}")
        return measured_figures(
            measurement, artifact.key, base.key if base else None, settings.deadline_ms
        )


def _of_trace(
    figures: Figures, rows: Sequence[TraceRow], recipe: Recipe, searched: Collection[str]
) -> Trained:
    ran = {row.stage for row in rows if not row.reused} & set(searched)
    seconds = sum(row.seconds for row in rows if row.stage in ran and row.trained_on)
    return Trained(figures, epochs_of(recipe, ran), seconds)


def patiently(work: Callable[[], Result], progress: Progress) -> Result:
    """The same, once another process has let go of what it needs. Raises BusyError after half an
    hour."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except BusyError as error:
            if time.monotonic() > deadline:
                raise
            progress("waits", 0, 0, error.message)
            time.sleep(LOOK_S)


def searched_stages(recipe: Recipe, keys: Collection[str]) -> frozenset[str]:
    """The stages whose results differ from candidate to candidate: those that hold a parameter, and
    all that continue from them or learn from them."""
    names = [stage_name(recipe, index) for index in range(len(recipe.stages))]
    parts = [parts_of(key) for key in keys]
    if any(root != "stages" for root, *_ in parts):
        return frozenset(names)
    own = {names[int(name)] if name.isdigit() else name for _, name, *_ in parts}
    searched: set[str] = set()
    for index, stage in enumerate(recipe.stages):
        teachers = {
            training.distill.teacher for _, training in trainings(stage) if training.distill
        }
        line = {names[before] for before in lineage(recipe, index)}
        if line & (own | searched) or teachers & searched:
            searched.add(names[index])
    return frozenset(searched)
