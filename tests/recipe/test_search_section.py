"""The section `search`: what may be written, and what is wrong with it, at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit.cli import run
from edgekit.errors import UsageError
from edgekit.recipe.load import load_recipe, recipe_sha256, resolved

RECIPE = """\
edgekit: 2
name: net
model: {name: small_cnn, args: {num_classes: 10}}
inputs: {image: {shape: [1, 8, 8]}}
data: {name: digits}
stages:
  - {stage: train, epochs: 3, export: fp32}
  - {stage: prune, name: pruned, method: structured, macs: 0.5}
  - {stage: quantize, method: ptq, export: int8}
"""
SEARCH = """\
search:
  parameters:
    stages.pruned.macs: {low: 0.2, high: 0.9}
    stages.fp32.epochs: {low: 1, high: 9, step: 2}
    stages.pruned.importance: {choices: [magnitude, taylor]}
    stages.pruned.calibration_batches:
      low: 2
      high: 8
      when: {stages.pruned.importance: taylor}
  objectives: [metrics.top1, latency_p50_ms]
  limits: {size_bytes: {max: 50000}}
  variant: int8
  backend: litert
  halving: {factor: 2, rungs: 2}
  stop: {trials: 12, minutes: 1.5, no_progress_trials: 6}
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "net.yaml"
    path.write_text(text)
    return path


def test_all_of_it(tmp_path: Path) -> None:
    search = load_recipe(written(tmp_path, RECIPE + SEARCH)).recipe.search
    assert list(search.parameters)[1] == "stages.fp32.epochs"
    assert search.parameters["stages.fp32.epochs"].whole
    assert not search.parameters["stages.pruned.macs"].whole
    assert search.stop.no_progress_trials == 6
    assert search.objectives == ("metrics.top1", "latency_p50_ms")


def test_a_recipe_without_a_search_is_what_it_was(tmp_path: Path) -> None:
    """Its hash, and with it the ids of bundles, do not change."""
    plain = load_recipe(written(tmp_path, RECIPE)).recipe
    assert "search" not in resolved(plain)
    searched = load_recipe(written(tmp_path, RECIPE + SEARCH), overrides=["search={}"]).recipe
    assert recipe_sha256(searched) == recipe_sha256(plain)


def test_a_bundle_of_a_searched_recipe_can_be_judged(tmp_path: Path) -> None:
    from edgekit.recipe.stored import stored_sections

    recipe = load_recipe(written(tmp_path, RECIPE + SEARCH)).recipe
    assert stored_sections(resolved(recipe)).budget.variants == {}


WRONG = {
    "stages.prunde.macs: {low: 0.1, high: 0.2}": (
        13,
        "no stage is called 'prunde' (did you mean 'pruned'?)",
    ),
    "budget.baseline: {choices: [fp32]}": (13, "expected a key below model, inputs, data or"),
    "stages.pruned.macs: {low: 0.1}": (13, "a parameter needs `low` and `high`, or `choices`"),
    "stages.pruned.macs: {low: 0.5, high: 0.1}": (13, "high: must be more than low 0.5, got 0.1"),
    "stages.pruned.macs: {low: 0.1, high: 0.2, choices: [0.3]}": (13, "choices have no range"),
    "stages.pruned.macs: {low: 0, high: 0.2, log: true}": (13, "begins above 0"),
    "stages.pruned.macs: {low: 0.1, high: 0.2, step: 0.5}": (13, "fit between low and high"),
    "stages.pruned.macs: {low: 1, high: 4, step: 0.5}": (13, "whole numbers have whole steps"),
    "stages.pruned.macs: {low: a, high: 0.2}": (13, "low: expected a whole number or a number"),
    "stages.pruned.macs: {choices: [0.5], when: {stages.fp32.epochs: 3}}": (
        13,
        "no parameter before this one is 'stages.fp32.epochs'",
    ),
}


@pytest.mark.parametrize("parameter", WRONG)
def test_a_wrong_parameter_is_refused_at_its_line(parameter: str, tmp_path: Path) -> None:
    line, words = WRONG[parameter]
    text = f"{RECIPE}search:\n  objectives: [macs]\n  parameters:\n    {parameter}\n"
    with pytest.raises(UsageError) as raised:
        load_recipe(written(tmp_path, text))
    assert words in raised.value.message
    assert f"net.yaml:{line}:" in raised.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("variant: int8", "variant: int4"), "no stage exports 'int4' (did you mean 'int8'?)"),
        (("backend: litert", "backend: portable"), "'portable' is not among export.backends"),
        (("latency_p50_ms]", "latency]"), "expected latency_p50_ms, peak_memory_bytes"),
        (("[metrics.top1, latency_p50_ms]", "[macs, macs]"), "an objective is listed twice"),
        (("[metrics.top1, latency_p50_ms]", "[]"), "a search needs `objectives`"),
        (("{max: 50000}", "{}"), "a limit needs `min` or `max`"),
        (("{max: 50000}", "{max: 1, min: 2}"), "must be at least min 2, got 1"),
        (("importance: taylor}", "importance: lamp}"), "is never the text 'lamp'"),
        (("trials: 12", "trials: 0"), "must be at least 1"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_else_is_refused(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    assert change[0] in SEARCH
    with pytest.raises(UsageError) as raised:
        load_recipe(written(tmp_path, RECIPE + SEARCH.replace(*change)))
    assert words in raised.value.message


def test_a_recipe_without_the_section_cannot_be_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, RECIPE)
    assert run(["search", str(path)]) == 2
    assert "it has no section `search`" in capsys.readouterr().err
    with pytest.raises(UsageError, match="0 trials"):
        edgekit.search(written(tmp_path, RECIPE + SEARCH), trials=0, target="local")
