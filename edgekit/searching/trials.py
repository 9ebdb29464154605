"""One candidate, from its values to its outcome: dropped before any training, halted after a part
of it, trained whole, or failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.errors import (
    EdgekitError,
    ExportError,
    ModelError,
    ResultError,
    RunnerError,
    UsageError,
)
from edgekit.recipe.load import LoadedRecipe
from edgekit.recipe.search_section import Search
from edgekit.recipe.variants import epochs_of
from edgekit.searching.candidates import Ending, SearchCandidate
from edgekit.searching.figures import SearchFigure
from edgekit.searching.goals import OF_A_BOARD, Goals
from edgekit.searching.halving import fractions, goes_on
from edgekit.searching.making import Figures, Workbench, searched_stages
from edgekit.searching.space import Settings, candidate_recipe

OF_THE_CANDIDATE = (ExportError, ModelError, ResultError, RunnerError, UsageError)
"""Errors that say something of a candidate, and not of the search."""
HALTED, FAILED = "trained whole", "built"
"""What a candidate misses that was halted, or failed, where Optuna asks for a number."""

Ended = Callable[[], Sequence[SearchCandidate]]
"""The candidates that have ended by now."""


@dataclass(frozen=True)
class Job:
    """What all candidates of a search have in common."""

    path: Path
    overrides: tuple[str, ...]
    section: Search
    goals: Goals


def tried(job: Job, bench: Workbench, number: int, settings: Settings, ended: Ended) -> Ending:
    """What came of a candidate. One with the values of another is that one again.

    Raises EdgekitError for what says nothing of the candidate, such as a board that is gone."""
    begun = time.monotonic()
    same = next((each for each in ended() if each.settings == settings), None)
    if same is not None:
        candidate = replace(same, number=number, trained_epochs=0.0, training_seconds=0.0)
    else:
        candidate = SearchCandidate(number, settings, "failed")
        try:
            candidate = _made(job, bench, candidate, ended)
        except OF_THE_CANDIDATE as error:
            candidate = replace(candidate, error=error.message)
    return ending(job.goals, replace(candidate, seconds=time.monotonic() - begun))


def ending(goals: Goals, candidate: SearchCandidate) -> Ending:
    """A candidate as Optuna compares it. Of one objective Optuna has its own way with halted
    candidates; of several, they are compared with what they reached."""
    excesses = goals.excesses(candidate.figures)
    names = [objective.name for objective in goals.objectives]
    if candidate.outcome == "failed":
        return Ending(candidate, None, {FAILED: 1.0})
    if candidate.outcome == "halted" and len(names) > 1:
        excesses |= {HALTED: 1 - max(candidate.rungs)}
    elif candidate.outcome != "trained":
        reports = tuple(
            figures[names[0]].value for figures in candidate.rungs.values() if names[0] in figures
        )
        return Ending(candidate, None, excesses, reports)
    return Ending(candidate, tuple(candidate.figures[name].value for name in names), excesses)


def _made(job: Job, bench: Workbench, candidate: SearchCandidate, ended: Ended) -> SearchCandidate:
    loaded = candidate_recipe(job.path, job.overrides, candidate.settings)
    searched = searched_stages(loaded.recipe, job.section.parameters)
    part = bench.part_of(loaded)
    candidate = replace(candidate, whole_epochs=epochs_of(part.recipe, searched))
    candidate, dropped = _cheaply(job.goals, bench, part, candidate, ended)
    return candidate if dropped else _trained(job, bench, part, searched, candidate, ended)


def _cheaply(
    goals: Goals, bench: Workbench, part: LoadedRecipe, candidate: SearchCandidate, ended: Ended
) -> tuple[SearchCandidate, bool]:
    """What is known without training, the cheapest first, and whether that rules the candidate
    out."""
    if goals.needs(["macs"]):
        candidate = replace(candidate, figures=bench.counted(part))
        if goals.surely_missed(candidate.figures):
            return _dropped(goals, candidate), True
    if goals.needs_untrained:
        lowered = bench.lowered(part, _measured_files(ended()))
        figures = {**candidate.figures, **lowered.figures}
        candidate = replace(candidate, figures=figures, measured_file=lowered.file)
        if goals.surely_missed(figures, untrained=True):
            return _dropped(goals, candidate), True
    return candidate, False


def _dropped(goals: Goals, candidate: SearchCandidate) -> SearchCandidate:
    missed = goals.surely_missed(candidate.figures, untrained=True)
    return replace(candidate, outcome="dropped", missed=tuple(map(str, missed)))


def _measured_files(ended: Sequence[SearchCandidate]) -> Mapping[str, Figures]:
    """What the board told of files, by the file."""
    return {
        each.measured_file: {
            name: figure for name, figure in each.figures.items() if name in OF_A_BOARD
        }
        for each in ended
        if each.measured_file
    }


def _trained(
    job: Job,
    bench: Workbench,
    part: LoadedRecipe,
    searched: Collection[str],
    candidate: SearchCandidate,
    ended: Ended,
) -> SearchCandidate:
    """The candidate after as much training as it is worth."""
    halving = job.section.halving
    steps = fractions(halving.factor, halving.rungs) if candidate.whole_epochs else (1.0,)
    for fraction in steps:
        train = bench.trained if fraction == 1 else bench.half_trained
        trained = train(part, fraction, searched)
        figures: dict[str, SearchFigure] = {**candidate.figures, **trained.figures}
        reached = {
            each.name: figures[each.name] for each in job.goals.ranked if each.name in figures
        }
        candidate = replace(
            candidate,
            figures=figures,
            rungs={**candidate.rungs, fraction: reached},
            trained_epochs=candidate.trained_epochs + trained.epochs,
            training_seconds=candidate.training_seconds + trained.seconds,
        )
        others = [each.rungs[fraction] for each in ended() if fraction in each.rungs]
        if fraction < 1 and not goes_on(reached, others, job.goals.ranked, halving.factor):
            return replace(candidate, outcome="halted")
    return replace(candidate, outcome="trained", missed=_missed(job.goals, candidate))


def _missed(goals: Goals, candidate: SearchCandidate) -> tuple[str, ...]:
    """The limits that a trained candidate does not keep; one of which nothing is known is not kept.
    Raises ResultError: an objective is not known."""
    unknown = goals.unknown(candidate.figures)
    for objective in goals.objectives:
        if objective.name in unknown:
            raise ResultError(f"{objective.name} is not known of the candidate")
    return tuple(
        str(bound)
        for bound in goals.bounds
        if bound.name in unknown or bound.excess(candidate.figures[bound.name].value) > 0
    )


def first_failure(candidates: Sequence[SearchCandidate], enough: int) -> EdgekitError | None:
    """The error of a search in which nothing but failures came of the first candidates."""
    if len(candidates) < enough or any(each.outcome != "failed" for each in candidates):
        return None
    return ModelError(
        f"the first {len(candidates)} candidates all failed: {candidates[-1].error}",
        hint="try one by itself: `edgekit build` with --set for each parameter",
    )
