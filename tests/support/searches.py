"""Searches whose candidates are computed and not trained, for what concerns a study alone; and the
search of a small recipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from edgekit.recipe.search_section import Parameter
from edgekit.searching.candidates import Ending, SearchCandidate
from edgekit.searching.figures import SearchFigure
from edgekit.searching.goals import Objective

if TYPE_CHECKING:
    from edgekit.searching.studies import Study

PARAMETERS = {
    "stages.pruned.macs": Parameter(low=0.1, high=0.9),
    "stages.finetuned.epochs": Parameter(low=1, high=9),
    "stages.int8.observer": Parameter(choices=("minmax", "histogram")),
}
SEARCHED = """\
edgekit: 2
name: searched
# A net that trains in a second.
model: {name: small_cnn, args: {num_classes: 10}}
inputs: {image: {shape: [1, 8, 8]}}
data: {name: digits, train_limit: 256, test_limit: 100}
verify: {samples: 16, snr_min_db: 5, cosine_min: 0.8, agreement_min_percent: 50}
stages:
  - {stage: train, epochs: 3, lr: 0.01, export: fp32}
  - stage: prune
    name: pruned
    method: structured
    macs: 0.5      # half of it
  - stage: finetune
    name: finetuned
    epochs: 3      # the best of these is kept
    lr: 0.01
  - {stage: quantize, method: ptq, calibration_samples: 64, export: int8}
export: {backends: [xnnpack]}
budget:
  variants:
    int8: {metrics: {top1: {min: 5}}}
bench: {runs: 2, min_seconds: 0.01, min_iterations: 64, warmup_min_seconds: 0.01}
search:
  parameters:
    stages.pruned.macs: {low: 0.1, high: 0.9}
    stages.finetuned.epochs: {low: 1, high: 9}
    stages.int8.observer: {choices: [minmax, histogram]}
  objectives: [metrics.top1, macs]
  stop: {trials: 4}
"""
TOP1 = Objective("metrics.top1", "top-1", "%", True)
P50 = Objective("latency_p50_ms", "p50", "ms", False, 3)
ABOUT = {
    "created": "2026-11-28T20:00:00.000+00:00",
    "recipe": "/no/such/recipe.yaml",
    "overrides": [],
    "target": None,
    "variant": "int8",
    "backend": "xnnpack",
    "objectives": [TOP1.as_dict()],
    "limits": [],
}


def figure(value: float, half: float = 0.0) -> SearchFigure:
    return SearchFigure(value, value - half, value + half)


def computed(number: int, settings: Mapping[str, Any]) -> SearchCandidate:
    """A candidate whose metric is the better, the more of it is left."""
    value = 100 * settings["stages.pruned.macs"] + settings["stages.finetuned.epochs"]
    figures = {TOP1.name: figure(value, 1), P50.name: figure(settings["stages.pruned.macs"])}
    return SearchCandidate(number, settings, "trained", figures)


def opened(
    url: str | None, trials: int, *, seed: int = 0, name: str = "computed", recipe: str = ""
) -> Study:
    from edgekit.searching.studies import make_study

    about = {**ABOUT, "recipe": recipe or ABOUT["recipe"]}
    return make_study(url, name, higher_is_better=[True], seed=seed, trials=trials, about=about)


def find_study(url: str, name: str) -> Study:
    from edgekit.searching import studies

    return studies.find_study(url, name)


def search_computed(url: str | None, most: int, *, seed: int = 0, recipe: str = "") -> None:
    """A whole search of computed candidates, one objective."""
    study = opened(url, most, seed=seed, recipe=recipe)
    while (begun := study.begin(most, PARAMETERS)) is not None:
        trial, settings = begun
        with study.at_work(trial):
            candidate = computed(trial.number, settings)
            study.end(trial, Ending(candidate, (candidate.figures[TOP1.name].value,), {"a": -1.0}))


def begin_and_die(url: str, most: int) -> None:
    opened(url, most).begin(most, PARAMETERS)
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(url: str, most: int, statement: int) -> None:
    """The same in a process that is killed before a statement of SQL, counted from 1."""
    counted = 0

    @event.listens_for(Engine, "before_cursor_execute")
    def _count(*arguments: object) -> None:
        nonlocal counted
        counted += 1
        if counted == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    search_computed(url, most)
