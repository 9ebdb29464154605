"""Which values are tried next: Optuna's TPE for one objective, NSGA-II for several. Imports Optuna.

A sampler of its own for each candidate, seeded by how many were asked for before: two processes do
not try the same. A candidate that repeats another has the other's seed, so that a search that was
interrupted goes on with the values that it would have tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

OWNER = "edgekit:owner"
"""The attribute of a trial that says who works on it: its values are all there."""
RETRY_OF = "edgekit:retry_of"
"""The attribute of a trial that repeats one whose process ended."""
SEEDS_APART = 1_000_003
"""The turns of two searches with seeds of their own have no seed in common."""
POPULATION = range(8, 51)
"""How many candidates a generation of NSGA-II may have."""
GENERATIONS = 6


class SeededByTurn(BaseSampler):
    """For each trial a fresh sampler."""

    def __init__(self, seed: int, *, objectives: int, trials: int) -> None:
        self._seed = seed
        self._several = objectives > 1
        self._population = min(max(trials // GENERATIONS, POPULATION[0]), POPULATION[-1])
        self._sampler = self._made(0)

    def _made(self, turn: int) -> BaseSampler:
        seed = (self._seed * SEEDS_APART + turn) % (1 << 32)
        if self._several:
            return NSGAIISampler(seed=seed, population_size=self._population)
        return TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler = self._made(_turn(study.get_trials(deepcopy=False), trial.number))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)


def _turn(trials: Sequence[FrozenTrial], number: int) -> int:
    """How many were asked for before a trial, or before the one that it repeats. What became of
    them does not matter: that changes while others are asked for."""
    while (repeated := trials[number].user_attrs.get(RETRY_OF)) is not None:
        number = repeated
    return sum(RETRY_OF not in trial.user_attrs for trial in trials[:number])
