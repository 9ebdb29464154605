"""A database and a bundle of format 1, made by edgekit 0.1: listed, shown, compared, judged,
exported and reported."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

import edgekit
from edgekit.cli import run
from edgekit.measure.measurement import Measurement
from edgekit.recipe.stored import stored_sections
from edgekit.reporting.gate_files import junit
from edgekit.store.results import Store
from edgekit.workflow.compare import compare_stored
from edgekit.workflow.gate import judged_again

CAPTURED = Path(__file__).parents[1] / "captured" / "format1"
BUNDLE = CAPTURED / "bundle"
BENCHED = "5d36c775758d"
"""`edgekit bench --profile --accuracy all`."""
COMPARED = ("ee2cac3fd79f", "0fc6e9880946")
"""`edgekit compare BUNDLE:fp32.pte BUNDLE:int8.pte`."""
GATED = ("54e69d9f53b0", "459130123be1")
"""`edgekit gate BUNDLE --baseline BUNDLE` on two artifacts."""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "results.db"
    shutil.copyfile(CAPTURED / "results.db", path)
    monkeypatch.setenv("EDGEKIT_DB", str(path))
    monkeypatch.setenv("COLUMNS", "140")
    return str(path)


def loaded(database: str, *prefixes: str) -> list[Measurement]:
    with Store(database) as store:
        return [store.load(prefix) for prefix in prefixes]


def test_metrics_of_the_device_and_of_the_build_host(database: str) -> None:
    [measured] = loaded(database, BENCHED)
    assert measured.format == 2
    for result in measured.artifacts:
        assert result.evaluation
        top1, top5 = result.evaluation.metrics
        right = top1.material()
        assert right is not None
        assert (top1.label, top1.samples, top1.right, top5.label) == (
            "top-1",
            450,
            right.sum(),
            "top-5",
        )
        assert result.evaluation.agreement_percent == 100
        assert len(result.evaluation.data_sha256) == 64
        [on_host] = result.artifact.verification.metrics
        assert on_host.value == top1.value
    assert {pair.agreement_label for pair in measured.runtimes} == {"same top-1"}
    assert Measurement.model_validate_json(measured.model_dump_json()) == measured


def test_two_of_a_session_are_compared(database: str) -> None:
    compared = compare_stored(*loaded(database, *COMPARED))
    assert compared.caveat == ""
    verdicts = {finding.metric: finding.verdict for finding in compared.findings}
    assert verdicts == {
        "latency_p50": "better",
        "latency_p99": "better",
        "peak_memory": "better",  # of the model; the runner's own would hide it
        "size": "better",
        "top1": "same",
    }


def test_a_gate_is_judged_again(database: str) -> None:
    baseline, candidate = loaded(database, *GATED)
    limits = stored_sections(edgekit.open_bundle(BUNDLE).manifest.recipe).gate
    gated = judged_again(candidate, baseline, limits)
    top1 = [finding for finding in gated.findings if finding.metric == "top1"]
    assert [finding.verdict for finding in top1] == ["passed", "passed"]
    assert 'name="top-1"' in junit(gated)


def test_commands(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["measurements"]) == 5
    assert run(["results", "show", BENCHED]) == 0
    assert "100.00 (99.2–100.0)" in capsys.readouterr().out
    assert run(["results", "export"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    benched = next(row for row in rows if row["measurement"].startswith(BENCHED))
    assert (benched["metric_top1"], benched["device_metric_top1_samples"]) == ("100.0", "450")
    page = tmp_path / "report.html"
    assert run(["report", str(BUNDLE), "--output", str(page)]) == 0
    assert "same top-1" in page.read_text()


def test_the_old_bundle_is_read_with_its_evaluation_set() -> None:
    manifest = edgekit.open_bundle(BUNDLE).manifest
    assert (manifest.format, manifest.task) == (2, "classification")
    assert manifest.evaluation
    assert manifest.evaluation.targets
    assert (manifest.evaluation.samples, manifest.evaluation.targets.dtype) == (450, "int32")
    for artifact in manifest.artifacts:
        [metric] = artifact.verification.metrics
        assert (metric.name, metric.samples) == ("top1", 450)
    assert all(pair.agreement_percent is not None for pair in manifest.comparisons)
    assert [metric.label for row in manifest.trace for metric in row.metrics][:1] == ["top-1"]
