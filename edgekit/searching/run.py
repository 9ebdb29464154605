"""`edgekit.search`: candidate after candidate until it is enough. Owns the order of work and when a
search ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.backends.lookup import load_backend
from edgekit.boards.deploying import AnyTarget
from edgekit.cache import content_key
from edgekit.data.fingerprint import dataset_fingerprint
from edgekit.devices.target import Target
from edgekit.devices.target_files import as_target
from edgekit.errors import UsageError
from edgekit.extras import require_modules
from edgekit.models.fingerprint import model_fingerprint, resolve_weights
from edgekit.pipeline.build import TRAINING_MODULES
from edgekit.progress import Progress, silent
from edgekit.recipe.load import LoadedRecipe, load_recipe, resolved
from edgekit.recipe.search_section import Stop
from edgekit.searching.candidates import SearchCandidate
from edgekit.searching.figures import Judged
from edgekit.searching.goals import Goals, goals, untold_by
from edgekit.searching.making import Workbench
from edgekit.searching.result import SearchResult, marked, result_of
from edgekit.searching.space import require_valid
from edgekit.searching.trials import Job, first_failure, tried
from edgekit.tasks.task import load_task

if TYPE_CHECKING:
    from edgekit.searching.studies import Study

NOTHING_BUT_FAILURES = 5
"""So many failed candidates, and none that did not fail, end a search."""
LOOK_S = 1.0


def search(
    recipe: str | Path,
    *,
    target: AnyTarget | None = None,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    progress: Progress = silent,
) -> SearchResult:
    """Look for the best values of a recipe's searched keys, as its section `search` says.

    A candidate is lowered untrained first, and measured where that is asked for: one that cannot
    keep a limit is not trained. The others are trained by successive halving, every stage from the
    cache. A search that was interrupted goes on where it was: the same call finds its study by the
    recipe's content, the target and the data. Several processes may work on one at a time. Needs
    the extras `search` and `export`.

    What is measured of untrained files does not go to the results database.

    Args:
        recipe: A recipe's file, with a section `search`.
        target: A target, as a value, a name or a file, for latency and memory. Without one, limits
            of the budget on these are left to a later run.
        overrides: Values to replace in every candidate, as `key.path=value`.
        storage: Where the study is kept: an SQLAlchemy URL or an SQLite file. Default:
            EDGEKIT_SEARCH_DB, else a file in the user's data directory.
        trials: In place of `search.stop.trials`.
        minutes: In place of `search.stop.minutes`.
        progress: Told where the work is.

    Returns:
        All candidates with the best ones marked, and what was saved.

    Raises:
        UsageError: The recipe, its section or an extra is wrong or missing; an objective that the
            target does not tell.
        StoreError: The study cannot be stored.
        ModelError: Nothing but failures came of the first candidates.
        TransportError, IdentityError, DeviceError, BusyError: The board cannot be used.

    Example:
        >>> searched = edgekit.search("searched.yaml", trials=2)
        >>> searched.front[0].outcome, len(searched.candidates)
        ('trained', 2)
    """
    asked = _asked(Path(recipe), target, overrides)
    stop = _stop(asked.job.section.stop, trials, minutes)
    from edgekit.searching.studies import make_study

    study = make_study(
        storage,
        asked.name,
        higher_is_better=[each.higher_is_better for each in asked.job.goals.objectives],
        seed=asked.job.section.seed,
        trials=stop.trials,
        about=asked.about,
    )
    with Workbench(asked.job.goals, asked.judged, asked.board) as bench:
        stopped = _work(asked.job, study, bench, stop, progress)
    return result_of(study, stopped)


@dataclass(frozen=True)
class Asked:
    """A search as it was asked for. `name` is that of its study, and `about` what the study holds
    of it."""

    job: Job
    judged: Judged
    board: Target | None
    name: str
    about: dict[str, Any]


def _asked(path: Path, target: AnyTarget | None, overrides: Sequence[str]) -> Asked:
    """Read all that is asked for, so that a mistake costs nothing. Raises UsageError."""
    loaded = load_recipe(path, overrides=overrides)
    section = loaded.recipe.search
    if not section.parameters:
        raise UsageError(
            f"{path}: it has no section `search`",
            hint="name parameters and objectives; see recipes/README.md",
        )
    board = None if target is None else as_target(target)
    if board is not None and board.require_signature:
        raise UsageError(
            f"{board.name}: it takes signed bundles only, and candidates are not signed",
            hint="search on a board without `require_signature`",
        )
    judged = _judged(loaded)
    task = load_task(loaded.recipe.task, path.parent)
    budget = loaded.recipe.budget.variants.get(judged.variant)
    wanted_goals = goals(section, budget, task.metrics, untold_by(board))
    _require_extras(loaded, judged, wanted_goals)
    require_valid(path, overrides, section.parameters)
    job = Job(path, tuple(overrides), section, wanted_goals)
    return Asked(job, judged, board, _name(loaded, board), _about(job, judged, board))


def _judged(loaded: LoadedRecipe) -> Judged:
    exports = [stage.export for stage in loaded.recipe.stages if stage.export]
    section = loaded.recipe.search
    return Judged(
        variant=section.variant or exports[-1],
        baseline=loaded.recipe.budget.baseline or exports[0],
        backend=section.backend or loaded.recipe.export.backends[0],
    )


def _require_extras(loaded: LoadedRecipe, judged: Judged, asked: Goals) -> None:
    backends = [judged.backend]
    if asked.needs(["runtimes_agreement_percent"]):
        backends = list(loaded.recipe.export.backends)
    base = loaded.path.parent
    libraries = [name for each in backends for name in load_backend(each, base).libraries]
    require_modules([*TRAINING_MODULES, *libraries])
    require_modules(["optuna"])


def _name(loaded: LoadedRecipe, board: Target | None) -> str:
    """The same for searches whose candidates can be compared: of the same recipe, data and board.
    When a search stops makes no difference."""
    recipe, base = loaded.recipe, loaded.path.parent
    plain = resolved(recipe)
    del plain["search"]["stop"]
    weights = resolve_weights(recipe.model.weights, base) if recipe.model.weights else None
    key = content_key(
        plain,
        dataset_fingerprint(recipe.data.name, recipe.data.args, base),
        model_fingerprint(recipe.model.name, recipe.model.args, weights, base),
        None if board is None else board.name,
    )
    return f"{recipe.name}-{key[:8]}"


def _about(job: Job, judged: Judged, board: Target | None) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "recipe": str(job.path.absolute()),
        "overrides": list(job.overrides),
        "target": None if board is None else board.name,
        "variant": judged.variant,
        "backend": judged.backend,
        "objectives": [objective.as_dict() for objective in job.goals.objectives],
        "limits": [str(bound) for bound in job.goals.bounds],
    }


def _stop(stop: Stop, trials: int | None, minutes: float | None) -> Stop:
    """With the values that are given in their place. Raises UsageError."""
    if trials is not None and trials < 1:
        raise UsageError(f"{trials} trials", hint="at least 1")
    if minutes is not None and not minutes > 0:
        raise UsageError(f"{minutes:g} minutes", hint="more than 0")
    changes = {"trials": trials, "minutes": minutes}
    return stop.model_copy(update={k: value for k, value in changes.items() if value is not None})


def _work(job: Job, study: Study, bench: Workbench, stop: Stop, progress: Progress) -> str:
    """Candidates until it is enough. Returns why it is."""
    begun = time.monotonic()
    while True:
        ended = study.candidates()
        progress("search", min(len(ended), stop.trials), stop.trials, _so_far(ended, job))
        if failure := first_failure(ended, NOTHING_BUT_FAILURES):
            raise failure
        if reason := enough(ended, job, stop, time.monotonic() - begun):
            progress("search", 1, 1, reason)
            return reason
        begun_candidate = study.begin(stop.trials, job.section.parameters)
        if begun_candidate is None:
            progress("candidate", 0, 0, "waits for those of other processes")
            time.sleep(LOOK_S)
            continue
        trial, settings = begun_candidate
        with study.at_work(trial):
            bench.show(_line(progress, trial.number))
            end = tried(job, bench, trial.number, settings, study.candidates)
            study.end(trial, end)


def enough(ended: Sequence[SearchCandidate], job: Job, stop: Stop, passed_s: float) -> str:
    """Why a search ends here; empty where it goes on."""
    if len(ended) >= stop.trials:
        return f"{stop.trials} candidates"
    if stop.minutes is not None and passed_s >= 60 * stop.minutes:
        return f"{stop.minutes:g} minutes"
    most = stop.no_progress_trials
    best = [at for at, each in enumerate(marked(ended, job.goals.objectives), 1) if each.best]
    if most is not None and best and len(ended) - max(best) >= most:
        return f"no better one among the last {most} candidates"
    return ""


def _so_far(ended: Sequence[SearchCandidate], job: Job) -> str:
    """The best value of the first objective, in few words."""
    first = job.goals.objectives[0]
    values = [
        each.figures[first.name].value for each in marked(ended, job.goals.objectives) if each.best
    ]
    if not values:
        return ""
    best = max(values) if first.higher_is_better else min(values)
    return f"best {first.label} {best:.{first.decimals}f}"


def _line(progress: Progress, number: int) -> Progress:
    """All that is done for a candidate is one line; a step that ends is not the end of the line."""

    def show(task: str, done: float, total: float, text: str = "") -> None:
        ended = total and done >= total
        step = f"#{number} {task}{f': {text}' if text else ''}"
        progress("candidate", 0 if ended else done, 0 if ended else total, step)

    return show
