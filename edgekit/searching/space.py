"""The values that parameters may have: chosen by a sampler for one candidate, and written as
overrides of the recipe. Knows Optuna's trials by the three methods that it calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgekit.errors import UsageError
from edgekit.recipe.load import LoadedRecipe, load_recipe
from edgekit.recipe.search_section import Parameter

DIGITS = 4
"""A value of a range has so many: more change nothing, and make recipes hard to read."""
NO_SEARCH = "search={}"
"""The override of a candidate: it is a recipe without a search."""

Settings = Mapping[str, Any]
"""Values by key; those of conditions that are not met are not there."""


class Suggests(Protocol):
    """What chooses values: an `optuna.trial.Trial`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def suggested(trial: Suggests, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """A value for each parameter whose condition is met, in their order."""
    settings: dict[str, Any] = {}
    for key, parameter in parameters.items():
        if is_met(parameter, settings):
            settings[key] = _value(trial, key, parameter)
    return settings


def is_met(parameter: Parameter, settings: Settings) -> bool:
    """Whether the condition of a parameter is met."""
    for other, allowed in parameter.when.items():
        values = allowed if isinstance(allowed, list) else [allowed]
        if other not in settings or settings[other] not in values:
            return False
    return True


def _value(trial: Suggests, key: str, parameter: Parameter) -> Any:
    if parameter.choices:
        by_name = {choice_name(choice): choice for choice in parameter.choices}
        return by_name[trial.suggest_categorical(key, list(by_name))]
    low, high, step = parameter.low, parameter.high, parameter.step
    assert low is not None
    assert high is not None
    if parameter.whole:
        return trial.suggest_int(key, int(low), int(high), step=int(step or 1), log=parameter.log)
    value = trial.suggest_float(key, low, high, step=step, log=parameter.log)
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def choice_name(choice: Any) -> Any:
    """A choice as Optuna takes it: a plain value as it is, others as JSON."""
    is_plain = choice is None or isinstance(choice, bool | int | float | str)
    return choice if is_plain else json.dumps(choice, ensure_ascii=False)


def as_overrides(settings: Settings) -> list[str]:
    """As `--set` takes them."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]


def candidate_recipe(path: Path, overrides: Sequence[str], settings: Settings) -> LoadedRecipe:
    """The recipe of a candidate. Raises UsageError: the values do not go together."""
    return load_recipe(path, overrides=[*overrides, *as_overrides(settings), NO_SEARCH])


def require_valid(
    path: Path, overrides: Sequence[str], parameters: Mapping[str, Parameter]
) -> None:
    """Try the ends of each range and each choice, so that a wrong one costs no training. Raises
    UsageError."""
    for settings, key in _tries(parameters):
        try:
            candidate_recipe(path, overrides, settings)
        except UsageError as error:
            value = json.dumps(settings[key], ensure_ascii=False)
            raise UsageError(
                f"search: {key} cannot be {value}: {error.message}", hint=error.hint
            ) from None


def _tries(parameters: Mapping[str, Parameter]) -> Iterator[tuple[dict[str, Any], str]]:
    """The fewest settings with each end of a range and each choice, with the parameter that is
    tried."""
    for key, parameter in parameters.items():
        needed = {
            other: allowed[0] if isinstance(allowed, list) else allowed
            for other, allowed in parameter.when.items()
        }
        for value in parameter.choices or (parameter.low, parameter.high):
            yield {**needed, key: value}, key
