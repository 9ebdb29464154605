"""`edgekit report` end to end, and how long it takes with a large database."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert

import edgekit
from edgekit import store
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.store.tables import artifact_results, bodies, measurements
from tests.support.measured import make_bundle, make_measurement


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle measured on two targets, on one of them twice."""
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    made = make_bundle(tmp_path / "bundle")
    for number, target in ((1, "pi4"), (2, "pi5"), (3, "pi4")):
        store.save(make_measurement(made, number=number, target=target))
    return made


def test_the_newest_of_each_target(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    assert run(["report", str(bundle.path), "-o", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "report": str(output),
        "bytes": output.stat().st_size,
    }
    html = output.read_text(encoding="utf-8")
    assert [f"{number:032x}" in html for number in (1, 2, 3)] == [False, True, True]
    assert not list(tmp_path.glob(".report*"))


def test_named_measurements_without_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    path = edgekit.report(measurements=[f"{1:032x}"], output=tmp_path / "one.html")
    assert f"{1:032x}" in path.read_text(encoding="utf-8")
    assert run(["report", "-o", str(tmp_path / "latest.html")]) == 0
    assert f"{3:032x}" in (tmp_path / "latest.html").read_text(encoding="utf-8")


def test_what_cannot_be_reported(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle(tmp_path / "other", keys=("fp32.pte",))
    store.save(make_measurement(other, number=9))
    for arguments, message in (
        ([str(bundle.path), "-m", f"{9:032x}"], "is of bundle"),
        (["-m", "feed"], "no measurement starts"),
        ([str(tmp_path)], "not a bundle"),
        ([str(bundle.path), "-o", str(tmp_path / "no" / "such.html")], "cannot be written"),
    ):
        assert run(["report", *arguments]) == 2
        assert message in "".join(capsys.readouterr().err.split("\n"))


def test_ten_thousand_measurements(bundle: Bundle, tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "bundle_name": "tiny",
        "bundle_id": "1" * 64,
        "recipe_sha256": "0" * 64,
        "target": "pi4",
        "target_kind": "ssh",
        "machine": "pi",
    }
    row |= {
        "edgekit_version": "0",
        "artifacts": "fp32.pte\nint8.tflite",
        "runs": 10,
        "quick": False,
        "valid": True,
        "timings": "meaningful",
        "failure": "",
    }
    engine = create_engine(f"sqlite:///{tmp_path / 'results.db'}")
    with engine.begin() as connection:
        ids = [f"{number:032x}" for number in range(1000, 11_000)]
        dates = [f"2025-{1 + at % 12:02}-{1 + at % 28:02}T00:00:00" for at in range(len(ids))]
        connection.execute(
            insert(measurements),
            [{**row, "id": id_, "created": date} for id_, date in zip(ids, dates, strict=True)],
        )
        keyed = [
            {"measurement_id": id_, "position": at, "artifact": key}
            for id_ in ids
            for at, key in enumerate(("fp32.pte", "int8.tflite"))
        ]
        values = {"sha256": "0" * 64, "bytes": 1, "runs": 10, "samples": 640, "p50_ns": 1e6}
        connection.execute(insert(artifact_results), [{**key, **values} for key in keyed])
    engine.dispose()
    began = time.process_time()
    path = edgekit.report(bundle, output=tmp_path / "report.html")
    assert time.process_time() - began < 10
    assert path.stat().st_size < 8_000_000
    assert "10,002 stored measurements" in path.read_text(encoding="utf-8")


def test_reporting_never_imports_torch(bundle: Bundle, tmp_path: Path) -> None:
    output = str(tmp_path / "r.html")
    code = (
        f"import sys; from edgekit.cli import run; assert run(['report', '-o', {output!r}]) == 0;"
        " sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_a_damaged_measurement_does_not_hide_the_others(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out and named; where it is asked for, it is the error."""
    damaged = f"{2:032x}"
    with create_engine(f"sqlite:///{tmp_path / 'results.db'}").begin() as connection:
        connection.execute(bodies.delete().where(bodies.c.measurement_id == damaged))
        connection.execute(insert(bodies), {"measurement_id": damaged, "body": b"junk"})
    path = edgekit.report(bundle.path, output=tmp_path / "page.html")
    assert f"{3:032x}" in path.read_text(encoding="utf-8")
    assert "left out" in caplog.text
    assert run(["report", "-m", damaged, "-o", str(tmp_path / "named.html")]) == 10
