"""The gate end to end: what passes, what fails and why, its exit codes and its files."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import edgekit
from edgekit import store
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.errors import UsageError
from edgekit.measure.measurement import Measurement, MeasurementNote
from edgekit.recipe.limits import Gate
from edgekit.reporting.gate_files import junit, markdown
from edgekit.workflow.gate import GateResult
from tests.support.desk import QUICK
from tests.support.measured import make_bundle
from tests.support.sessions import with_evaluation

LIMITS = Gate(metrics={"top1": None})
RECIPE = {
    "gate": {"metrics": {"top1": None}},
    "bench": {"warmup_min_seconds": 0, "min_seconds": 0},
}


@pytest.fixture
def gated(fast: Bundle, slow: Bundle, desk: Path) -> GateResult:
    return edgekit.gate(slow, fast, str(desk), limits=LIMITS, settings=QUICK)


def test_a_slower_build_fails_and_a_faster_one_passes(
    gated: GateResult, fast: Bundle, slow: Bundle, desk: Path
) -> None:
    assert not gated.passed
    assert [(finding.pair, finding.metric) for finding in gated.regressed] == [
        ("fp32.pte", "latency_p50")
    ]
    assert gated.summary == "worse than the baseline: fp32.pte latency_p50"
    assert gated.baseline.session == gated.candidate.session
    assert (gated.baseline.bundle_id, gated.candidate.bundle_id) == (
        fast.manifest.id,
        slow.manifest.id,
    )
    faster = edgekit.gate(fast, slow, str(desk), limits=LIMITS, settings=QUICK)
    assert faster.passed
    assert {finding.verdict for finding in faster.findings} == {"passed"}


def test_inconclusive_is_not_a_pass_unless_the_recipe_says_so(fast: Bundle, desk: Path) -> None:
    """The accuracy of 1,000 samples on the build host does not tell a point."""
    twin = make_bundle(desk.parent / "twin", ["fp32.pte"], text="twin!")
    strict = edgekit.gate(fast, twin, str(desk), settings=QUICK)
    assert [finding.metric for finding in strict.inconclusive] == ["top1"]
    assert not strict.passed
    assert strict.summary.startswith("inconclusive, which is not a pass")
    assert "build both bundles with this edgekit, on the same test data" in strict.remedy
    assert "top1: null" in strict.remedy
    assert strict.remedy == strict.as_dict()["remedy"]
    assert "top1: null" in markdown(strict)
    assert edgekit.gate(
        fast, twin, str(desk), limits=Gate(inconclusive="pass"), settings=QUICK
    ).passed


def test_a_file_is_no_worse_than_itself(fast: Bundle, desk: Path) -> None:
    """However few samples it was evaluated on, and even where no loss is allowed."""
    for limits in (Gate(), Gate(metrics={"top1": 0.0})):
        result = edgekit.gate(fast, fast, str(desk), limits=limits, settings=QUICK)
        [accuracy] = [finding for finding in result.findings if finding.metric == "top1"]
        assert (accuracy.verdict, accuracy.low, accuracy.high) == ("passed", 0, 0)
        assert "the same file" in accuracy.reason


def test_a_metric_that_is_not_measured_is_not_passed(fast: Bundle, desk: Path) -> None:
    result = edgekit.gate(fast, fast, str(desk), limits=Gate(metrics={"mae": 1.0}), settings=QUICK)
    assert [finding.metric for finding in result.inconclusive] == ["mae"]
    assert "not known" in result.inconclusive[0].reason


def test_the_evaluation_sets_of_both_bundles_are_run_on_the_device(
    fast: Bundle, slow: Bundle, desk: Path
) -> None:
    """The same samples are paired; a bundle of other samples, or without any, is compared as the
    build host saw it."""
    old, new = with_evaluation(fast), with_evaluation(slow)
    limits = Gate(latency_p50_max_ratio=None)
    result = edgekit.gate(new, old, str(desk), limits=limits, settings=QUICK)
    [accuracy] = [finding for finding in result.findings if finding.metric == "top1"]
    assert (accuracy.verdict, accuracy.a, accuracy.b) == (
        "inconclusive",
        80.0,
        80.0,
    )  # five samples cannot tell a point
    assert "on the device, on the same samples" in accuracy.reason
    assert result.remedy.startswith("a larger export.evaluation_set")
    wide = edgekit.gate(
        new,
        old,
        str(desk),
        limits=limits.model_copy(update={"metrics": {"top1": 80.0}}),
        settings=QUICK,
    )
    assert wide.passed, wide.summary
    without = edgekit.gate(
        new,
        make_bundle(desk.parent / "without", ["fp32.pte"]),
        str(desk),
        limits=limits,
        settings=QUICK,
    )
    [accuracy] = [finding for finding in without.findings if finding.metric == "top1"]
    assert "on the build host" in accuracy.reason


def test_quick_runs_never_gate(fast: Bundle, desk: Path) -> None:
    with pytest.raises(UsageError, match="never gate"):
        edgekit.gate(fast, fast, str(desk), settings=QUICK | {"runs": 9})


def test_wrong_outputs_fail_even_where_inconclusive_passes(gated: GateResult) -> None:
    wrong = gated.candidate.model_copy(
        update={
            "notes": (
                MeasurementNote(
                    level="invalid",
                    code="outputs",
                    text="fp32.pte: output differs",
                    artifact="fp32.pte",
                ),
            )
        }
    )
    result = GateResult(gated.baseline, wrong, (), Gate(inconclusive="pass"))
    assert not result.passed
    assert "wrong outputs" in result.summary
    assert ElementTree.fromstring(junit(result)).get("failures") == "1"


def test_a_variant_that_is_missing_is_not_proven(
    tmp_path: Path, fast: Bundle, gated: GateResult
) -> None:
    assert (
        GateResult(gated.candidate, gated.candidate, (), Gate(), missing=("int8.pte",)).passed
        is False
    )
    assert GateResult(
        gated.candidate, gated.candidate, (), Gate(inconclusive="pass"), missing=("int8.pte",)
    ).passed
    with pytest.raises(UsageError, match="no artifact in common"):
        edgekit.gate(fast, make_bundle(tmp_path / "other", ["int8.tflite"]), "local")


def test_the_command_its_exit_codes_and_its_files(
    fast: Bundle,
    desk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    slower = make_bundle(tmp_path / "slower", ["fp32.pte"], text="slow!", recipe=RECIPE)
    same = make_bundle(tmp_path / "same", ["fp32.pte"], recipe=RECIPE)
    assert run(["baseline", "set", "main", str(fast.path)]) == 0
    files = ["--junit", str(tmp_path / "gate.xml"), "--markdown", str(tmp_path / "gate.md")]
    assert run(["gate", str(slower.path), "--baseline", "main", "--target", str(desk), *files]) == 1
    captured = capsys.readouterr()
    assert "REGRESSED" in captured.out
    assert captured.err.splitlines()[-1] == "error: worse than the baseline: fp32.pte latency_p50"
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert (suite.get("failures"), suite.get("tests")) == ("1", "3")
    assert "gate: FAILED" in (tmp_path / "gate.md").read_text()
    assert not (tmp_path / "summary.md").exists()
    assert (
        run(
            [
                "gate",
                str(same.path),
                "--baseline",
                str(fast.path),
                "--target",
                str(desk),
                "--github-summary",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["passed"]
    assert "gate: passed" in (tmp_path / "summary.md").read_text()
    with store.open_store() as opened:
        assert len(opened.rows()) == 4
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    for arguments in (["--github-summary"], ["--runs", "3"], ["--artifact", "int4.pte"]):
        assert (
            run(["gate", str(same.path), "--baseline", "main", "--target", str(desk), *arguments])
            == 2
        )
    assert run(["gate", str(same.path), "--baseline", "nowhere", "--target", str(desk)]) == 2
    assert "no baseline 'nowhere'" in capsys.readouterr().err


def hostile(measurement: Measurement) -> Measurement:
    return measurement.model_copy(
        update={"target": "a|b`<script>\x1b[31m\x00", "bundle_name": "*x*|y"}
    )


def test_names_are_inert_in_files(gated: GateResult) -> None:
    result = GateResult(
        hostile(gated.baseline), hostile(gated.candidate), gated.findings, gated.limits
    )
    ElementTree.fromstring(junit(result))
    text = markdown(result)
    assert "<script" not in text
    assert "\x1b" not in text + junit(result)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}
