"""The recipe inside a bundle: of today, of format 1, and of an edgekit that knows more."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import store
from edgekit.cli import run
from edgekit.errors import UsageError
from edgekit.recipe.limits import Bench, Budget, Gate, Verify
from edgekit.recipe.schema import Recipe
from edgekit.recipe.stored import KEYS, stored_sections
from edgekit.version import __version__
from tests.support.measured import make_bundle, make_measurement


def test_sections_that_are_missing_have_their_defaults() -> None:
    sections = stored_sections({"edgekit": 2})
    assert sections.verify == Verify()
    assert sections.budget == Budget()
    assert sections.bench == Bench()
    assert sections.gate == Gate()


def test_values_are_those_of_the_bundle() -> None:
    recipe = {"edgekit": 2, "bench": {"runs": 3}, "gate": {"metrics": {"top1": 0.5}}}
    sections = stored_sections(recipe)
    assert (sections.bench.runs, sections.gate.metrics) == (3, {"top1": 0.5})


def test_every_key_of_a_recipe_is_known() -> None:
    assert Recipe.model_fields.keys() == KEYS


def test_limits_of_format_1_are_read() -> None:
    limits = {"top1_min_percent": 90}
    recipe = {"edgekit": 1, "budget": {"variants": {"int8": limits}}}
    [metric] = stored_sections(recipe).budget.variants["int8"].metrics.values()
    assert metric.min == 90


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("bench", {"warp": 9}, "bench.warp"),
        ("budget", {"variants": {"int8": {"carats": 1}}}, "budget.variants.int8.carats"),
        ("gate", {"mood": "good"}, "gate.mood"),
        ("verify", {"twice": True}, "verify.twice"),
        ("bench", {"runs": "many"}, "bench.runs"),
        ("bench", 3, "bench."),
        ("horoscope", {"sign": "leo"}, "horoscope"),
    ],
)
def test_what_this_version_does_not_know_names_key_and_version(
    section: str, values: object, key: str
) -> None:
    with pytest.raises(UsageError) as raised:
        stored_sections({"edgekit": 2, section: values})
    assert raised.value.exit_code == 2
    assert f"{key}: " in raised.value.message
    assert __version__ in raised.value.message
    assert "build it again" in raised.value.hint


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "{}", "--runs", "1"],
        ["gate", "{}", "--baseline", "{}"],
        ["report", "{}", "-o", "{}.html"],
    ],
    ids=lambda command: command[0],
)
def test_commands_end_in_one_line(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    bundle = make_bundle(tmp_path / "net", recipe={"edgekit": 2, "budget": {"carats": 1}})
    store.save(make_measurement(bundle))
    assert run([part.replace("{}", str(bundle.path)) for part in command]) == 2
    printed = capsys.readouterr().err
    assert "budget.carats" in printed
    assert "this is edgekit" in printed
