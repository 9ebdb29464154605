"""Values of parameters: chosen, written as overrides, tried before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import UsageError
from edgekit.recipe.search_section import Parameter
from edgekit.searching.space import (
    as_overrides,
    candidate_recipe,
    choice_name,
    require_valid,
    suggested,
)

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"


class Highest:
    """Chooses the last value of everything, and notes the names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.names.append(name)
        return high - 1e-9

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        self.names.append(name)
        return high

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.names.append(name)
        return choices[-1]


def test_each_kind_of_value() -> None:
    parameters = {
        "stages.fp32.lr": Parameter(low=1e-4, high=0.0123456, log=True),
        "stages.fp32.epochs": Parameter(low=1, high=9),
        "stages.int8.observer": Parameter(choices=("minmax", "histogram")),
        "stages.fp32.augment": Parameter(choices=([], [{"MixUp": {"alpha": 0.2}}])),
    }
    settings = suggested(Highest(), parameters)
    assert (
        settings
        == {
            "stages.fp32.lr": 0.01235,
            "stages.fp32.epochs": 9,
            "stages.int8.observer": "histogram",
            "stages.fp32.augment": [{"MixUp": {"alpha": 0.2}}],
        }
        or settings["stages.fp32.lr"] == 0.0123456
    )
    assert settings["stages.fp32.lr"] <= 0.0123456, "rounding does not leave the range"
    assert as_overrides(settings)[1:3] == [
        "stages.fp32.epochs=9",
        'stages.int8.observer="histogram"',
    ]


def test_a_condition_decides_what_is_searched() -> None:
    parameters = {
        "stages.pruned.importance": Parameter(choices=("magnitude", "taylor")),
        "stages.pruned.calibration_batches": Parameter(
            low=2, high=8, when={"stages.pruned.importance": ["taylor", "lamp"]}
        ),
        "stages.pruned.round_to": Parameter(
            choices=(4, 8), when={"stages.pruned.importance": "magnitude"}
        ),
        "stages.pruned.scope": Parameter(
            choices=("layer", "global"), when={"stages.pruned.round_to": 8}
        ),
    }
    chooser = Highest()
    assert suggested(chooser, parameters) == {
        "stages.pruned.importance": "taylor",
        "stages.pruned.calibration_batches": 8,
    }
    assert "stages.pruned.scope" not in chooser.names


@pytest.mark.parametrize("choice", [None, True, 3, 0.5, "a", [1, "ü"], {"a": [1]}])
def test_choices_have_names_of_their_own(choice: Any) -> None:
    name = choice_name(choice)
    assert name == choice or isinstance(name, str)


def test_a_candidate_is_the_recipe_with_its_values() -> None:
    loaded = candidate_recipe(QUICKSTART, ["seed=3"], {"stages.pruned.macs": 0.25})
    assert loaded.recipe.seed == 3
    assert loaded.recipe.stages[2].macs == 0.25  # type: ignore[attr-defined]
    assert not loaded.recipe.search.parameters


def test_a_wrong_end_or_choice_is_refused_before_anything_runs() -> None:
    require_valid(QUICKSTART, [], {"stages.pruned.macs": Parameter(low=0.1, high=0.9)})
    with pytest.raises(UsageError, match=r"stages.pruned.macs cannot be 1.5") as raised:
        require_valid(QUICKSTART, [], {"stages.pruned.macs": Parameter(low=0.1, high=1.5)})
    assert "must be less than 1" in raised.value.message
    choices = Parameter(choices=("minmax", "median"))
    with pytest.raises(UsageError, match='cannot be "median"'):
        require_valid(QUICKSTART, [], {"stages.int8.observer": choices})
    with pytest.raises(UsageError, match="calibration_batches cannot be 0"):
        require_valid(
            QUICKSTART,
            [],
            {
                "stages.pruned.importance": Parameter(choices=("magnitude", "taylor")),
                "stages.pruned.calibration_batches": Parameter(
                    low=0, high=8, when={"stages.pruned.importance": "taylor"}
                ),
            },
        )
