"""`edgekit results` end to end: its own process state, real databases, exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import store
from edgekit.cli import run
from edgekit.measure.measurement import Measurement
from edgekit.store import spool
from edgekit.store.database import database_url
from tests.support.measured import make_bundle, make_measurement
from tests.support.tiers import require_module

HOSTILE = "=cmd|'/c calc'!A0 \x1b[31m[bold]x"


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Measurement]:
    """Three measurements in the database of EDGEKIT_DB, the last on a target with a hostile
    name."""
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    monkeypatch.setenv("COLUMNS", "100")
    bundle = make_bundle(tmp_path / "bundle")
    made = [
        make_measurement(bundle, number=number, target=target)
        for number, target in ((1, "pi4"), (2, "pi4"), (3, HOSTILE))
    ]
    for measurement in made:
        store.save(measurement)
    return made


def test_list(saved: list[Measurement], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "list", "--target", "pi4"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("pi4") == 2
    assert run(["results", "list"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[bold]x" in "".join(shown.split())
    assert run(["results", "list", "--json", "--limit", "1"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["measurements"]] == [
        saved[2].id
    ]


def test_show(saved: list[Measurement], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "show"]) == 0
    shown = capsys.readouterr().out
    assert saved[2].id in shown
    assert "\x1b" not in shown
    assert run(["results", "show", saved[0].id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == saved[0].id


@pytest.mark.parametrize("identity", ["f" * 32, "0000"])
def test_show_what_is_not_there_or_not_one(
    saved: list[Measurement], identity: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["results", "show", identity]) == 2
    assert "error:" in capsys.readouterr().err


def test_export_csv(
    saved: list[Measurement], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["results", "export"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 6
    assert [row["artifact"] for row in rows[:2]] == ["fp32.pte", "int8.tflite"]
    assert float(rows[0]["p50_ms"]) == saved[0].summaries["fp32.pte"].p50.value / 1e6
    assert rows[0]["p99_ms"] == ""
    assert rows[4]["target"] == "'=cmd|'/c calc'!A0 \ufffd[31m[bold]x"
    assert run(["results", "export", saved[1].id, "-o", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_export_jsonl(saved: list[Measurement], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "export", "--format", "jsonl"]) == 0
    assert [json.loads(line)["artifact"] for line in capsys.readouterr().out.splitlines()] == [
        "fp32.pte",
        "int8.tflite",
    ] * 3
    assert run(["results", "export", "--format", "jsonl", "--raw", saved[0].id]) == 0
    assert Measurement.model_validate_json(capsys.readouterr().out) == saved[0]


def test_export_that_cannot_be(
    saved: list[Measurement], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["results", "export", "--raw"]) == 2
    assert run(["results", "export", "-o", "/nonexistent/x.csv"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_prune(saved: list[Measurement], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "prune"]) == 2
    assert run(["results", "prune", "--keep", "1", "--dry-run"]) == 0
    assert "would delete 2 measurements" in capsys.readouterr().out
    assert run(["results", "prune", "--keep", "1", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "would_delete": [measurement.id for measurement in saved[1::-1]]
    }
    assert run(["results", "prune", "--keep", "1"]) == 0
    assert run(["results", "prune", "--older-than-days", "0"]) == 0
    assert "deleted 2 measurements\ndeleted 1 measurement\n" in capsys.readouterr().out
    assert run(["results", "list"]) == 0
    assert "no measurements yet" in capsys.readouterr().out


def test_a_broken_database_is_exit_10(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("not a database\n" * 500)
    assert run(["results", "list", "--db", str(tmp_path / "notes.txt")]) == 10
    stderr = capsys.readouterr().err
    assert "file is not a database" in stderr
    assert "Traceback" not in stderr


def test_what_waits_in_the_spool_is_said(
    saved: list[Measurement], capsys: pytest.CaptureFixture[str]
) -> None:
    (spool.spool_directory(database_url()) / "00.json").write_text("{")
    assert run(["results", "list"]) == 0
    assert "warning: a measurement still waits to be stored" in capsys.readouterr().err


def test_looking_at_results_never_imports_torch(saved: list[Measurement]) -> None:
    code = (
        "import sys; from edgekit.cli import run; run(['results', 'show']); sys.exit('torch' in"
        " sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_export_parquet(
    saved: list[Measurement], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = require_module("pyarrow.parquet", "parquet")
    file = tmp_path / "out.parquet"
    assert run(["results", "export", "--format", "parquet"]) == 2
    assert run(["results", "export", "--format", "parquet", "-o", str(file)]) == 0
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["out.parquet"]
    rows = parquet.read_table(file).to_pylist()
    assert run(["results", "export", "--format", "jsonl"]) == 0
    assert rows == [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert str(parquet.read_schema(file).field("p99_ms").type) == "double"
    assert run(["results", "export", "--format", "parquet", "-o", "/nonexistent/x.parquet"]) == 2


def test_log_to_mlflow(
    saved: list[Measurement],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Into a local file store; a second time nothing is new."""
    tracking = require_module("mlflow.tracking", "mlflow")
    monkeypatch.setenv(
        "MLFLOW_ALLOW_FILE_STORE", "true"
    )  # its file store is in maintenance and asks for this
    uri = (tmp_path / "mlruns").as_uri()
    for logged in ("logged 2 runs", "logged 0 runs"):
        assert run(["results", "log-mlflow", saved[0].id, "--tracking-uri", uri]) == 0
        assert logged in capsys.readouterr().out
    client = tracking.MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name("edgekit").experiment_id
    runs_by_artifact = {
        logged_run.data.params["artifact"]: logged_run for logged_run in client.search_runs([place])
    }
    assert (
        runs_by_artifact["fp32.pte"].data.metrics["p50_ms"]
        == saved[0].summaries["fp32.pte"].p50.value / 1e6
    )
    assert runs_by_artifact["int8.tflite"].data.params["target"] == "pi4"


def test_prune_before_a_day(saved: list[Measurement], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "prune", "--before", "2025-12-31"]) == 0
    assert run(["results", "prune", "--before", "2026-01-02", "--dry-run"]) == 0
    assert capsys.readouterr().out == "deleted 0 measurements\nwould delete 3 measurements\n"
