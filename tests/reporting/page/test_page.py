"""The page as a document: what is on it, what is said of what is not, and that nothing of it comes
alive. Without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects
import pytest

from edgekit.bundle.directory import Bundle
from edgekit.bundle.manifest import ArtifactAgreement
from edgekit.measure.measurement import Measurement
from edgekit.recipe.load import load_recipe, recipe_sha256, resolved
from edgekit.reporting.page import build, content, document, overview, values
from edgekit.store.results import HistoryEntry
from edgekit.verdict.budget import JudgedLimit
from edgekit.workflow.judge import judge
from tests.support.hostile import HOSTILE, hostile
from tests.support.measured import make_bundle, make_measurement
from tests.support.parsed_page import ParsedPage

URL = "http://127.0.0.1:9/x"
PARTS = (
    "At a glance",
    "Budget",
    "Pipeline",
    "Artifacts",
    "Measured on",
    "Latency on",
    "Memory on",
    "The two runtimes on",
    "Time by operator on",
)


def made(
    bundle: Bundle | None,
    *measurements: Measurement,
    verdicts: tuple[JudgedLimit, ...] | None = None,
    past: Any = None,
    beside: Any = None,
) -> content.Page:
    return content.page(bundle, measurements, verdicts, past or {}, beside or {})


def parsed_page(page: content.Page) -> ParsedPage:
    return ParsedPage(document.html(page, made="2026-01-01"))


def figures(page: content.Page) -> Iterator[values.Figure]:
    return (
        block
        for section in page.sections
        for block in section.blocks
        if isinstance(block, values.Figure)
    )


def test_a_full_measurement_shows_everything(bundle: Bundle, measurement: Measurement) -> None:
    past = [
        HistoryEntry("a", "2026-01-01T00:00:00+00:00", "fp32.pte", 1e6, True),
        HistoryEntry("b", "2026-01-02T00:00:00+00:00", "fp32.pte", 1.1e6, False),
    ]
    page = made(
        bundle,
        measurement,
        verdicts=judge(bundle, {measurement.target: measurement}),
        past={measurement.id: past},
    )
    titles = [section.title for section in page.sections]
    assert [part for part in PARTS if not any(title.startswith(part) for title in titles)] == []
    names = [figure.name.removeprefix("figure-") for figure in figures(page)]
    assert names == [
        "pareto",
        "medians",
        "distribution",
        "timeline",
        "memory",
        "operators-executorch",
        "sustained",
        "history",
    ]
    parsed = parsed_page(page)
    assert "budget not met: 1 of 1 limits" in parsed.text
    assert (
        f"edgekit bench {bundle.path} --target pi4 --runs 10 --threads 1 --profile --sustained 6s"
        " --accuracy 100 --energy" in parsed.text
    )
    assert "no profiler in LiteRT" in parsed.text


def test_what_is_not_there_is_said_with_its_remedy(
    bundle: Bundle, measurement: Measurement
) -> None:
    bare = measurement.model_copy(
        update={
            "artifacts": tuple(
                r.model_copy(
                    update={"profile": None, "sustained": None, "evaluation": None, "energy": None}
                )
                for r in measurement.artifacts
            )
        }
    )
    text = parsed_page(made(None, bare)).text
    for option in ("--profile", "--sustained 10m", "--accuracy all", "--energy"):
        assert re.search(
            rf"To get it: edgekit bench build/tiny-\w+ --target pi4 --runs 10 --threads 1 {option}",
            text,
        )
    assert "To get it: edgekit report BUNDLE" in text
    assert "the database has only one measurement" in text
    assert f"edgekit bench {bundle.path} --target local" in parsed_page(made(bundle)).text


SESSION = "a" * 32


def tables(page: content.Page, section: str) -> list[list[list[str]]]:
    """The texts of all tables of a section."""
    blocks = [
        block
        for candidate in page.sections
        if candidate.name.startswith(section)
        for block in candidate.blocks
    ]
    return [
        [[cell.text for cell in row] for row in block.rows]
        for block in blocks
        if isinstance(block, values.Table)
    ]


def test_what_was_measured_in_turn_is_compared_and_gated(
    bundle: Bundle, measurement: Measurement, tmp_path: Path
) -> None:
    base = make_bundle(tmp_path / "base", text="another build")
    before = make_measurement(
        base, number=2, session=SESSION, medians_ns={"fp32.pte": 5e5, "int8.tflite": 2e6}
    )
    page = made(
        bundle,
        measurement.model_copy(update={"session": SESSION}),
        beside={measurement.id: [before]},
    )
    section = next(section for section in page.sections if section.name == "verdicts")
    assert section.title == f"Against {base.manifest.id[:12]} on pi4"
    [[slower, same]] = tables(page, "verdicts")
    assert slower[:2] == ["fp32.pte", "slower"]
    assert slower[-1] == "REGRESSED"
    assert same[:2] == ["int8.tflite", "no\N{NO-BREAK SPACE}difference"]
    assert "worse than the baseline: fp32.pte latency_p50" in parsed_page(page).text
    assert "latency p50, allowed 5 %" in parsed_page(page).text
    alone = made(
        None, measurement.model_copy(update={"session": SESSION}), beside={measurement.id: [before]}
    )
    assert "REGRESSED" not in parsed_page(alone).text, "the limits are in the bundle"
    assert "edgekit compare OTHER_BUNDLE" in parsed_page(made(bundle, measurement)).text
    stranger = before.model_copy(update={"artifacts": ()})
    assert (
        "edgekit compare OTHER_BUNDLE"
        in parsed_page(made(bundle, measurement, beside={measurement.id: [stranger]})).text
    )


def test_the_two_runtimes_of_one_session_are_one_comparison(tmp_path: Path) -> None:
    """As `edgekit compare BUNDLE` stores them: the .pte files in one measurement, the .tflite files
    in the other."""
    whole = make_bundle(tmp_path / "whole", ["fp32.pte", "fp32.tflite"])
    pair = ArtifactAgreement(
        a="fp32.pte", b="fp32.tflite", samples=8, agreement_percent=87.5, snr_db=31.5
    )
    both = make_measurement(
        whole, session=SESSION, runtimes=(pair,), medians_ns={"fp32.pte": 1e6, "fp32.tflite": 2e6}
    )
    pte, lite = (
        both.model_copy(update={"id": f"{n:032x}", "artifacts": both.artifacts[n : n + 1]})
        for n in (0, 1)
    )
    page = made(whole, pte, lite, beside={pte.id: [lite], lite.id: [pte]})
    [[compared]] = tables(page, "verdicts")
    assert compared[:2] == ["fp32.pte → fp32.tflite", "slower"]
    sides, answers = tables(made(None, both), "runtimes")
    assert [
        "fp32.pte and fp32.tflite",
        "on the device, reference samples",
        "8",
        "87.50 %",
        "31.5 dB",
    ] in answers
    assert [row[1] for row in sides] == ["ExecuTorch .pte", "LiteRT .tflite", "first ÷ second"]


def test_answers_that_a_task_does_not_compare_have_no_column(bundle: Bundle) -> None:
    """A regression without a tolerance has no share of equal answers."""
    [compared] = bundle.manifest.comparisons
    for percent, answers in ((99.0, ("same top-1",)), (None, ())):
        pair = compared.model_copy(update={"agreement_percent": percent})
        manifest = bundle.manifest.model_copy(update={"comparisons": (pair,)})
        page = made(bundle.model_copy(update={"manifest": manifest}))
        [table] = [
            block
            for section in page.sections
            for block in section.blocks
            if isinstance(block, values.Table) and block.title == "Do they give the same answers?"
        ]
        assert table.columns == ("one", "other", "samples", *answers, "SNR")
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_figures_are_figures(bundle: Bundle, measurement: Measurement) -> None:
    """plotly's own schema knows every key and value of them."""
    drawn_figures = list(figures(made(bundle, measurement)))
    assert drawn_figures
    for figure in drawn_figures:
        plotly.graph_objects.Figure(data=list(figure.data), layout=figure.layout).to_plotly_json()
        assert figure.data


def test_the_timeline_has_temperature_and_clock(measurement: Measurement) -> None:
    timeline = next(
        figure for figure in figures(made(None, measurement)) if figure.name == "figure-timeline"
    )
    titles = [
        axis["title"]["text"] for name, axis in timeline.layout.items() if name.startswith("yaxis")
    ]
    assert titles == ["% off the median", "°C", "MHz", "% CPU of others"]
    heat = [trace for trace in timeline.data if trace["name"] == "cpu-thermal 0"]
    assert [set(trace["y"]) for trace in heat] == [{50.0, 50.1, 50.2}]
    assert heat[0]["x"] == sorted(heat[0]["x"])
    axes = {trace["yaxis"] for trace in timeline.data}
    assert axes == {"y", "y2", "y3", "y4"}


def test_meaningless_timings_are_marked_wherever_they_are(
    bundle: Bundle, measurement: Measurement
) -> None:
    emulated = measurement.model_copy(
        update={"timings": "meaningless", "timings_reason": "it is emulated"}
    )
    page = made(bundle, emulated)
    timed = [figure for figure in figures(page) if figure.name != "figure-memory"]
    assert all("it is emulated" in figure.caption for figure in timed)
    assert all("†" in figure.title or figure.name == "figure-timeline" for figure in timed)
    tables = [
        block
        for section in page.sections
        for block in section.blocks
        if isinstance(block, values.Table)
    ]
    cells = [
        (column, row[at])
        for table in tables
        for row in table.rows
        for at, column in enumerate(table.columns)
        if re.search(r"\bms\b|faster", column)
    ]
    assert cells
    assert all("†" in cell.text or cell.text in ("n/a", "–") for _, cell in cells), cells
    assert page.flags == ("pi4: † timings are meaningless: it is emulated",)


def test_hostile_names_stay_text(bundle: Bundle, measurement: Measurement) -> None:
    harmless, attacked = (
        parsed_page(made(None, measurement)),
        parsed_page(made(None, hostile(measurement, URL))),
    )
    allowed = {tag for tag, _ in harmless.tags}
    assert {tag for tag, _ in attacked.tags} <= allowed | {"span"}
    assert not any(
        name.startswith("on") or name in ("src", "srcdoc", "formaction")
        for _, attributes in attacked.tags
        for name in attributes
    )
    links = [attributes.get("href") for tag, attributes in attacked.tags if tag == "a"]
    assert links
    assert all(link and link.startswith("#") for link in links)
    assert "\x1b" not in attacked.text + attacked.data
    assert "<script>document.title" in attacked.text
    assert "'owned'" not in attacked.data or "<" not in attacked.data
    for words in strings(json.loads(attacked.data)):
        assert "<img" not in words
        assert "<a " not in words


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from strings(item)


def test_commands_quote_what_they_name(measurement: Measurement) -> None:
    text = parsed_page(
        made(None, measurement.model_copy(update={"target": "a b; rm -rf $HOME"}))
    ).text
    assert "--target 'a b; rm -rf $HOME'" in text


def test_the_recipe_on_the_page_is_the_one_it_was_built_from(
    bundle: Bundle, tmp_path: Path
) -> None:
    loaded = load_recipe(Path(__file__).parents[3] / "recipes" / "quickstart.yaml")
    manifest = bundle.manifest.model_copy(update={"recipe": resolved(loaded.recipe)})
    *_, code = build.reproduce_section(manifest, bundle.path, []).blocks
    assert isinstance(code, values.Code)
    (tmp_path / "recipe.yaml").write_text(code.text, encoding="utf-8")
    assert recipe_sha256(load_recipe(tmp_path / "recipe.yaml").recipe) == recipe_sha256(
        loaded.recipe
    )


def test_the_policy_names_the_scripts_and_nothing_else(measurement: Measurement) -> None:
    html = document.html(made(None, measurement), made="")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 2
    assert policy[1].replace("&#39;", "'") == document.policy(*scripts)
    rules = dict(rule.split(" ", 1) for rule in document.policy(*scripts).split("; "))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"('sha256-[A-Za-z0-9+/=]{44}' ?){2}", rules["script-src"])
    assert set(rules) == {
        "default-src",
        "script-src",
        "style-src",
        "img-src",
        "base-uri",
        "form-action",
    }
    assert "http" not in document.policy(*scripts)
    assert not re.search(
        r"""<(?:link|img|iframe|script)[^>]+(?:src|href)=""", html[: html.index("<script")]
    )


def test_data_cannot_end_its_element() -> None:
    assert (
        document.embedded({"x": "</script><!--&"})
        == '{"x":"\\u003c/script\\u003e\\u003c!--\\u0026"}'
    )
    with pytest.raises(ValueError, match="Out of range"):
        document.embedded({"x": float("nan")})


def test_labels_are_inert_in_plotly() -> None:
    assert values.label("<b>a</b>\x1b[31m&\n") == "&lt;b&gt;a&lt;/b&gt;\ufffd[31m&amp;\ufffd"
    assert "<" not in values.label(HOSTILE, limit=500)


def test_measurements_on_one_target_are_told_apart(
    bundle: Bundle, measurement: Measurement
) -> None:
    other = measurement.model_copy(update={"id": "f" * 32})
    text = parsed_page(made(bundle, measurement, other)).text
    assert "Latency on pi4 ffffff" in text
    assert "Latency on pi4 000000" in text
    assert "--target pi4 --runs" in text
    assert "--target 'pi4" not in text


def test_anchors_are_unique_with_several_targets(bundle: Bundle, measurement: Measurement) -> None:
    other = measurement.model_copy(update={"id": "f" * 32, "target": "pi5"})
    parsed = parsed_page(made(bundle, measurement, other))
    names = [attributes["id"] for _, attributes in parsed.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert {str(attributes["href"])[1:] for tag, attributes in parsed.tags if tag == "a"} <= set(
        names
    )


def test_at_a_glance_is_no_wider_with_many_targets(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    several = [
        make_measurement(bundle, number=number, target=f"board{number}") for number in range(1, 5)
    ]
    table = overview.glance_table(bundle.manifest.artifacts, "fp32", several, {})
    assert table.columns[:3] == ("artifact", "target", "size")
    assert len(table.columns) == 8
    assert [(row[0].text, row[1].text) for row in table.rows[:2]] == [
        ("fp32.pte", "board1"),
        ("fp32.pte", "board2"),
    ]
    alone = overview.glance_table(bundle.manifest.artifacts, "fp32", several[:1], {})
    assert "target" not in alone.columns
    unmeasured = overview.glance_table(bundle.manifest.artifacts, "fp32", [], {})
    assert "p50 ms" not in unmeasured.columns
    assert len(unmeasured.rows) == len(bundle.manifest.artifacts)
