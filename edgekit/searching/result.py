"""What a search has come to: the best candidates, how much each parameter matters, what halving and
dropping saved. Values for tables, pages and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from edgekit.searching.candidates import SearchCandidate
from edgekit.searching.goals import Objective
from edgekit.searching.halving import beats

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from edgekit.searching.studies import Study

Direction = Literal["maximize", "minimize"]
FEWEST_FOR_IMPORTANCE = 8
"""Of fewer candidates nothing can be said of what matters."""


@dataclass(frozen=True)
class SearchSavings:
    """What was not trained. `candidates` have ended, of which so many were dropped, halted, trained
    whole, or failed. Training each of them whole takes `whole_epochs`; `trained_epochs` were, in
    `training_seconds`. What all candidates share is in neither."""

    candidates: int
    dropped: int
    halted: int
    trained: int
    failed: int
    trained_epochs: float
    whole_epochs: float
    training_seconds: float

    @property
    def saved_percent(self) -> float | None:
        """The share of the epochs that was not trained; None where there is nothing to train."""
        return 100 * (1 - self.trained_epochs / self.whole_epochs) if self.whole_epochs else None

    @property
    def saved_seconds(self) -> float | None:
        """About how long these epochs would have taken, by those that were trained."""
        if not self.trained_epochs:
            return None
        per_epoch = self.training_seconds / self.trained_epochs
        return per_epoch * (self.whole_epochs - self.trained_epochs)


@dataclass(frozen=True)
class SearchResult:
    """A search so far. `study` is its name, kept in `storage`; `recipe` the file that was searched,
    with `overrides`, on `target`. `objectives` are what is to be best; `limits` are in words.

    `importance` says of each objective how much each parameter matters to it, 0 to 1, together 1;
    nothing of an objective with too few candidates. `stopped` says why the search ended, empty for
    one that was only looked at."""

    study: str
    storage: str
    recipe: str
    overrides: tuple[str, ...]
    target: str | None
    variant: str
    objectives: tuple[Objective, ...]
    limits: tuple[str, ...]
    candidates: tuple[SearchCandidate, ...]
    importance: Mapping[str, Mapping[str, float]]
    savings: SearchSavings
    stopped: str = ""

    @property
    def front(self) -> tuple[SearchCandidate, ...]:
        """The best candidates, those first that are best in the first objective."""
        first = self.objectives[0]
        sign = -1 if first.higher_is_better else 1
        best = [candidate for candidate in self.candidates if candidate.best]
        return tuple(sorted(best, key=lambda each: sign * each.figures[first.name].value))

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {
            key: getattr(self, key)
            for key in ("study", "storage", "recipe", "target", "variant", "stopped")
        }
        return {
            **values,
            "overrides": list(self.overrides),
            "objectives": [objective.as_dict() for objective in self.objectives],
            "limits": list(self.limits),
            "front": [candidate.number for candidate in self.front],
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "importance": {name: dict(shares) for name, shares in self.importance.items()},
            "savings": {
                **asdict(self.savings),
                "saved_percent": self.savings.saved_percent,
                "saved_seconds": self.savings.saved_seconds,
            },
        }


def result_of(study: Study, stopped: str = "") -> SearchResult:
    """What a study holds. Raises StoreError."""
    about = study.about
    objectives = tuple(Objective(**each) for each in about["objectives"])
    candidates = marked(study.candidates(), objectives)
    return SearchResult(
        study=study.name,
        storage=study.place,
        recipe=about["recipe"],
        overrides=tuple(about["overrides"]),
        target=about["target"],
        variant=about["variant"],
        objectives=objectives,
        limits=tuple(about["limits"]),
        candidates=candidates,
        importance=_importances(study, candidates, objectives),
        savings=savings_of(candidates),
        stopped=stopped,
    )


def marked(
    candidates: Sequence[SearchCandidate], objectives: Sequence[Objective]
) -> tuple[SearchCandidate, ...]:
    """The candidates with those marked that are best. Of several with the same values the first."""
    rivals = {
        repr(dict(each.settings)): each
        for each in reversed(candidates)
        if each.outcome == "trained" and not each.missed
    }
    best = {
        each.number
        for each in rivals.values()
        if not any(beats(other.figures, each.figures, objectives) for other in rivals.values())
    }
    return tuple(replace(each, best=each.number in best) for each in candidates)


def savings_of(candidates: Sequence[SearchCandidate]) -> SearchSavings:
    outcomes = [candidate.outcome for candidate in candidates]
    return SearchSavings(
        candidates=len(candidates),
        dropped=outcomes.count("dropped"),
        halted=outcomes.count("halted"),
        trained=outcomes.count("trained"),
        failed=outcomes.count("failed"),
        trained_epochs=sum(candidate.trained_epochs for candidate in candidates),
        whole_epochs=sum(candidate.whole_epochs for candidate in candidates),
        training_seconds=sum(candidate.training_seconds for candidate in candidates),
    )


def _importances(
    study: Study, candidates: Sequence[SearchCandidate], objectives: Sequence[Objective]
) -> dict[str, dict[str, float]]:
    by_number = {candidate.number: candidate for candidate in candidates}
    trials = [(by_number[each.number], each) for each in study.trials() if each.number in by_number]
    importances = {}
    for objective in objectives:
        values = [
            (value, trial)
            for candidate, trial in trials
            if (value := comparable(candidate, objective.name)) is not None
        ]
        if len(values) >= FEWEST_FOR_IMPORTANCE:
            importances[objective.name] = _importance(values, objective)
    return importances


def comparable(candidate: SearchCandidate, name: str) -> float | None:
    """A quantity of a candidate in which it can be compared with as many others as possible: after
    the first part of the training, which all had that had any."""
    first = candidate.rungs[min(candidate.rungs)] if candidate.rungs else candidate.figures
    figure = first.get(name)
    return None if figure is None else figure.value


def _importance(
    values: Sequence[tuple[float, FrozenTrial]], objective: Objective
) -> dict[str, float]:
    """By PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255), as Optuna computes it: how much a
    parameter matters to be among the best quarter."""
    import optuna

    from edgekit.searching.studies import quiet

    direction: Direction = "maximize" if objective.higher_is_better else "minimize"
    with quiet():
        study = optuna.create_study(direction=direction, storage=optuna.storages.InMemoryStorage())
        for value, trial in values:
            study.add_trial(
                optuna.create_trial(
                    params=trial.params, distributions=trial.distributions, value=value
                )
            )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: share for name, share in shares.items() if math.isfinite(share)}
