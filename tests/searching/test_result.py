"""What a search has come to: the best ones, what matters, what was saved; on a terminal of 80
columns and as a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import edgekit
from edgekit.cli import run
from edgekit.reporting.page.search import search_page
from edgekit.reporting.search_tables import search_summary
from edgekit.searching.candidates import SearchCandidate, candidate_of
from edgekit.searching.result import SearchResult, comparable, marked, savings_of
from tests.support.parsed_page import ParsedPage
from tests.support.searches import P50, TOP1, figure, opened, search_computed
from tests.support.terminal import printed
from tests.support.tiers import require_module

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def candidate(number: int, top1: float, p50: float, **changes: object) -> SearchCandidate:
    figures = {TOP1.name: figure(top1, 1), P50.name: figure(p50, 0.1)}
    settings = {"stages.pruned.macs": number / 10, "stages.int8.observer": HOSTILE}
    made = SearchCandidate(number, settings, "trained", figures, rungs={1.0: figures})
    return replace(made, **changes)  # type: ignore[arg-type]


CANDIDATES = (
    candidate(0, 90, 3, trained_epochs=10, whole_epochs=10, training_seconds=5),
    candidate(1, 95, 4, trained_epochs=10, whole_epochs=10, training_seconds=5),
    candidate(2, 94, 5, trained_epochs=10, whole_epochs=10, training_seconds=5),
    candidate(3, 99, 9, missed=("latency_p50_ms ≤ 5",), trained_epochs=10, whole_epochs=10),
    candidate(4, 60, 2, outcome="halted", rungs={1 / 9: {TOP1.name: figure(60)}}, whole_epochs=10),
    candidate(5, 0, 8, outcome="dropped", missed=("latency_p50_ms ≤ 5",), rungs={}, whole_epochs=9),
    candidate(6, 0, 0, outcome="failed", figures={}, rungs={}, error=HOSTILE),
)


def result(*candidates: SearchCandidate) -> SearchResult:
    return SearchResult(
        study="net-12345678",
        storage="/tmp/searches.db",
        recipe="/tmp/net.yaml",
        overrides=(),
        target="pi5",
        variant="int8",
        objectives=(TOP1, P50),
        limits=("latency_p50_ms ≤ 5",),
        candidates=marked(candidates, (TOP1, P50)),
        importance={TOP1.name: {"stages.pruned.macs": 0.75, "stages.int8.observer": 0.25}},
        savings=savings_of(candidates),
        stopped="7 candidates",
    )


def test_the_best_ones_keep_all_limits_and_nothing_beats_them() -> None:
    assert [each.number for each in result(*CANDIDATES).front] == [1, 0]


def test_of_equal_candidates_the_first_is_best() -> None:
    again = replace(CANDIDATES[1], number=7)
    assert [each.number for each in result(*CANDIDATES, again).front] == [1, 0]


def test_what_was_not_trained_is_counted() -> None:
    savings = savings_of(CANDIDATES)
    assert (savings.dropped, savings.halted, savings.trained, savings.failed) == (1, 1, 4, 1)
    assert savings.trained_epochs == 40
    assert savings.saved_percent == pytest.approx(100 * (1 - 40 / 59))
    assert savings.saved_seconds == pytest.approx(15 / 40 * 19)
    assert savings_of([]).saved_percent is None


def test_a_candidate_survives_json() -> None:
    for each in CANDIDATES:
        assert candidate_of(each.number, json.loads(json.dumps(each.record()))) == each
    json.dumps(result(*CANDIDATES).as_dict(), allow_nan=False)


def test_metrics_are_compared_after_the_first_part_of_a_training() -> None:
    rungs = {1 / 3: {TOP1.name: figure(70)}, 1.0: {TOP1.name: figure(90)}}
    assert comparable(candidate(1, 90, 3, rungs=rungs), TOP1.name) == 70
    assert comparable(candidate(1, 90, 3, rungs={}), P50.name) == 3
    assert comparable(CANDIDATES[6], P50.name) is None


def test_a_terminal_of_80_columns_holds_it() -> None:
    text = printed(*search_summary(result(*CANDIDATES)), width=80)
    assert max(map(len, text.splitlines())) <= 80
    for words in ("95.00 (94.00–96.00)", "What matters", "1 dropped before any", "--candidate 1"):
        assert words in text
    assert "\x1b" not in text


def test_a_terminal_says_that_there_is_none() -> None:
    text = printed(*search_summary(result(CANDIDATES[6])), width=80)
    assert "Best of 1 candidates" in text
    assert "1 failed" in text


def test_the_page_is_inert_and_has_it_all() -> None:
    require_module("plotly", "report")
    from edgekit.reporting.page.document import html

    page = ParsedPage(html(search_page(result(*CANDIDATES)), made="2026-11-28T20:00:00+00:00"))
    assert "alert(1)" not in page.data.replace("\\u003cscript\\u003ealert(1)", "")
    assert all("on" not in name[:2] for _, attributes in page.tags for name in attributes)
    for words in ("Best candidates", "What matters", "halted after 11%", "edgekit search apply"):
        assert words in page.text
    figures = json.loads(page.data)
    assert {"figure-front", "figure-importance", "figure-history"} <= set(figures)
    bars = figures["figure-front"]["data"][0]["error_y"]
    assert bars["array"] == pytest.approx([1, 1])


def test_of_one_objective_there_is_no_front_to_draw(tmp_path: Path) -> None:
    require_module("plotly", "report")
    alone = replace(result(*CANDIDATES), objectives=(TOP1,), importance={})
    path = edgekit.report_search(alone, output=tmp_path / "search.html")
    text = ParsedPage(path.read_text()).text
    assert "there is one objective" in text
    assert "too few candidates" in text


def test_show_tells_what_a_study_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_module("optuna", "search")
    url = str(tmp_path / "searches.db")
    assert run(["search", "show", "--storage", url]) == 2
    assert "no search yet" in capsys.readouterr().err
    search_computed(url, 12)
    assert run(["search", "show", "comp", "--storage", url, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["candidates"]) == 12
    assert len(answer["front"]) == 1
    shares = answer["importance"][TOP1.name]
    assert shares["stages.pruned.macs"] == max(shares.values())
    assert run(["search", "show", "--storage", url]) == 0
    assert "12 trained whole" in capsys.readouterr().out


def test_a_study_without_candidates_is_shown(tmp_path: Path) -> None:
    require_module("optuna", "search")
    url = str(tmp_path / "searches.db")
    opened(url, 4)
    found_nothing = edgekit.open_search("latest", storage=url)
    assert found_nothing.front == ()
    assert found_nothing.importance == {}
    assert "none yet" in printed(*search_summary(found_nothing), width=80)
