"""A whole search on this machine: lowered, measured, trained by halving, resumed, applied."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import edgekit
from edgekit.cli import run
from edgekit.recipe.load import load_recipe, resolved
from edgekit.searching.space import candidate_recipe
from tests.support.searches import SEARCHED
from tests.support.tiers import require_module

pytestmark = [pytest.mark.torch, pytest.mark.slow]

LIMITED = SEARCHED.replace(
    "  objectives: [metrics.top1, macs]\n",
    "  objectives: [metrics.top1, latency_p50_ms]\n  limits: {macs: {max: 700000}}\n",
)
TRIALS = 4
DIGITS = Path(__file__).parents[2] / "recipes" / "digits_search.yaml"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_module("optuna", "search")
    place = tmp_path_factory.mktemp("search")
    (place / "searched.yaml").write_text(LIMITED)
    (place / "here.yaml").write_text(
        f"edgekit: 1\nname: here\nkind: local\nworkdir: {place}/device\n"
    )
    return place


@pytest.fixture(autouse=True)
def _own_places(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(place / "cache"))
    monkeypatch.setenv("EDGEKIT_DB", str(place / "results.db"))
    monkeypatch.setenv("EDGEKIT_SEARCH_DB", str(place / "searches.db"))
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def result(place: Path) -> edgekit.SearchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(place / "cache"))
        patch.setenv("EDGEKIT_SEARCH_DB", str(place / "searches.db"))
        return edgekit.search(
            place / "searched.yaml", target=str(place / "here.yaml"), trials=TRIALS
        )


def test_what_cannot_keep_a_limit_is_not_trained(result: edgekit.SearchResult) -> None:
    assert len(result.candidates) == TRIALS
    assert result.savings.failed == 0
    dropped = [each for each in result.candidates if each.outcome == "dropped"]
    for candidate in dropped:
        assert candidate.figures["macs"].value > 700000
        assert candidate.missed == ("macs ≤ 700000",)
        assert candidate.trained_epochs == 0
        assert "latency_p50_ms" not in candidate.figures
    assert all(
        each.figures["macs"].value <= 700000
        for each in result.candidates
        if each.outcome != "dropped"
    )
    assert dropped


def test_the_best_ones_have_intervals(result: edgekit.SearchResult) -> None:
    assert result.front
    for candidate in result.front:
        assert candidate.outcome == "trained"
        assert max(candidate.rungs) == 1.0
        for name in ("metrics.top1", "latency_p50_ms"):
            figure = candidate.figures[name]
            assert figure.low is not None
            assert figure.high is not None
            assert figure.low <= figure.value <= figure.high


def test_the_same_command_goes_on_with_it(
    result: edgekit.SearchResult, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is tried twice; the page is written, and stdout holds one object."""
    command = ["search", "searched.yaml", "-t", "here.yaml", "--trials", str(TRIALS)]
    assert run([*command, "--json", "--html", "page.html"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["candidates"] == [each.as_dict() for each in result.candidates]
    assert answer["study"] == result.study
    assert answer["stopped"] == f"{TRIALS} candidates"
    assert Path(answer["page"]).read_text().startswith("<!doctype html>")
    assert run(command) == 0
    shown = capsys.readouterr()
    assert "★" not in shown.out
    assert f"Best of {TRIALS} candidates of int8, within macs ≤ 700000" in shown.out
    assert "search: " in shown.err


def test_optuna_opens_the_study(result: edgekit.SearchResult, place: Path) -> None:
    import optuna

    study = optuna.load_study(study_name=result.study, storage=f"sqlite:///{place}/searches.db")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    best = {trial.number for trial in study.best_trials}
    assert {each.number for each in result.front} <= best
    dropped = [each.number for each in result.candidates if each.outcome == "dropped"]
    for number in dropped:
        assert study.trials[number].state.name == "PRUNED"
        assert study.trials[number].constraints["macs ≤ 700000"] > 0


@pytest.mark.nightly
def test_the_chosen_recipe_is_the_searched_one_with_its_values(
    result: edgekit.SearchResult, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = result.front[0]
    command = ["search", "apply", result.study[:12], "--candidate", str(chosen.number)]
    assert run([*command, "--json"]) == 0
    path = Path(json.loads(capsys.readouterr().out)["recipe"])
    assert path.name == "searched-best.yaml"
    text = path.read_text()
    for comment in ("# half of it", "# the best of these", "# A net that trains", "# Candidate "):
        assert comment in text
    assert resolved(load_recipe(path, overrides=["search={}"]).recipe) == resolved(
        candidate_recipe(place / "searched.yaml", [], chosen.settings).recipe
    )
    built = edgekit.build(path, output=place / "build")
    assert all(row.reused for row in built.trace), "the search has trained it"
    assert built.reused_exports >= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["apply", "latest", "--candidate", "99"], "there is no candidate 99"),
        (["apply", "latest", "-o", "/tmp/elsewhere.yaml"], "not beside"),
        (["show", "nothing"], "no search is called nothing"),
    ],
)
def test_what_is_not_there(
    arguments: list[str],
    words: str,
    result: edgekit.SearchResult,
    capsys: pytest.CaptureFixture[str],
) -> None:
    candidate = [] if "--candidate" in arguments else ["-c", str(result.front[0].number)]
    assert run(["search", *arguments, *(candidate if arguments[0] == "apply" else [])]) == 2
    assert words in capsys.readouterr().err


def test_nothing_keeps_the_limits(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No candidate is trained, as none can keep the limit, and the exit code is 1."""
    (place / "strict.yaml").write_text(LIMITED.replace("max: 700000", "max: 10"))
    command = ["search", "strict.yaml", "-t", "here.yaml", "--trials", "3"]
    assert run([*command, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [each["outcome"] for each in answer["candidates"]] == ["dropped"] * 3
    assert answer["savings"]["trained_epochs"] == 0
    assert run(command) == 1
    assert "none of 3 candidates keeps all limits" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_candidate_that_cannot_be_built_is_named_and_the_others_go_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SEARCHED.replace(
        "stages.int8.observer: {choices: [minmax, histogram]}",
        "stages.int8.keep_float: {choices: [[], [nothing]]}",
    )
    (place / "failing.yaml").write_text(text)
    assert run(["search", "failing.yaml", "--trials", "4"]) == 0
    shown = capsys.readouterr().out
    assert "keep_float" in shown
    assert "failed: candidate" in shown
    always = text.replace("[[], [nothing]]", "[[nothing]]")
    (place / "always.yaml").write_text(always)
    assert run(["search", "always.yaml", "--trials", "9"]) == 3
    assert "the first 5 candidates all failed" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_process_that_is_killed_again_and_again(place: Path) -> None:
    """SIGKILL after 6, 9, 12, … seconds. In the end the same candidates have ended in the same way
    as in a search that was never killed."""
    (place / "killed.yaml").write_text(SEARCHED)
    calm = searched_in_a_process(place, "calm.db", None)
    for seconds in (6, 9, 12, 15):
        searched_in_a_process(place, "killed.db", seconds)
    killed = searched_in_a_process(place, "killed.db", None)
    keys = ("settings", "outcome", "missed")
    assert [[each[key] for key in keys] for each in killed["candidates"]] == [
        [each[key] for key in keys] for each in calm["candidates"]
    ]
    assert len(killed["candidates"]) == 4


def searched_in_a_process(place: Path, storage: str, seconds: float | None) -> dict[str, Any]:
    """What a search prints; nothing when it is killed after some seconds."""
    command = [sys.executable, "-m", "edgekit.cli", "search", "killed.yaml", "--json"]
    cache = {"EDGEKIT_CACHE": str(place / f"cache-{storage}")}
    with subprocess.Popen(
        [*command, "--storage", storage],
        cwd=place,
        env={**os.environ, **cache},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        if seconds is not None:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate(timeout=600)
    return json.loads(printed) if seconds is None else {}


@pytest.mark.nightly
def test_thirty_candidates_on_digits(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the processor time that two cores have in two minutes."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(place / "cache-digits"))
    begun = os.times()
    assert run(["search", str(DIGITS), "--trials", "30", "--json"]) == 0
    ended = os.times()
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["candidates"]) == 30
    assert answer["savings"]["failed"] == 0
    assert answer["savings"]["saved_percent"] > 30
    processor_s = sum(ended[:4]) - sum(begun[:4])
    assert processor_s <= 2 * 120
