"""Before and after the inference: what is timed does what it stands for, and is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import Bundle, open_bundle, write_manifest
from edgekit.cli import run
from edgekit.measure.extra_results import SampleSteps
from edgekit.measure.measurement import Measurement
from edgekit.reporting.export import rows
from edgekit.reporting.extra_results import observations
from edgekit.reporting.page.observed import pipeline_block
from edgekit.reporting.page.values import Absent, Table
from tests.support.desk import QUICK, make_desk
from tests.support.measured import make_bundle, make_measurement
from tests.support.terminal import printed


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", ["fp32.pte"])


def shown(measurement: Measurement) -> str:
    return printed(*observations(measurement))


def test_bench_times_both_steps(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(tmp_path / "results.db"))
    desk = make_desk(tmp_path, bundle)
    [measured] = edgekit.bench(
        bundle, str(desk), settings={**QUICK, "runs": 1}, pipeline=True
    ).values()
    steps = measured.artifacts[0].pipeline
    assert steps
    assert steps.where == "device"
    assert steps.pre_ns > 0
    assert steps.post_ns
    assert not steps.without_post
    assert list((tmp_path / "device" / "runtimes").glob("sample_steps-*"))
    assert "pre and post were timed on desk" in shown(measured)
    assert "Before and after the inference" in shown(measured)
    assert run(["bench", str(bundle.path), "-t", str(desk), "--quick", "--pipeline", "--json"]) == 0
    [artifact] = json.loads(capsys.readouterr().out)["artifacts"]
    assert artifact["pipeline"]["post_ns"] > 0
    table = pipeline_block(measured, "edgekit bench")
    assert isinstance(table, Table)
    assert table.rows[0][0].text == "fp32.pte"
    assert "timed on desk" in table.caption
    assert next(rows(measured))["pre_post_where"] == "device"


def test_what_was_not_timed_is_said(bundle: Bundle) -> None:
    plain = make_measurement(bundle)
    assert isinstance(pipeline_block(plain, "edgekit bench net"), Absent)
    steps = SampleSteps(
        where="host",
        host_because="there is no Python there",
        pre_ns=1000.0,
        without_post="nobody says how",
    )
    [result] = plain.artifacts
    timed = result.model_copy(update={"pipeline": steps})
    remote = plain.model_copy(update={"artifacts": (timed,)})
    text = shown(remote)
    assert "on this machine, not on pi4: there is no Python there" in text
    assert "nobody says how" in text
    block = pipeline_block(remote, "edgekit bench net")
    assert isinstance(block, Table)
    assert "not on pi4" in block.caption
    assert [cell.text for cell in block.rows[0]][-2:] == ["n/a", "–"]


def test_an_older_result_says_no_reason(bundle: Bundle) -> None:
    plain = make_measurement(bundle)
    old = json.loads('{"where": "host", "pre_ns": 1000.0, "post_ns": 2000.0}')
    results = plain.model_dump()["artifacts"]
    results[0]["pipeline"] = old
    measured = Measurement.model_validate({**plain.model_dump(), "artifacts": results})
    assert "pre and post were timed on this machine, not on pi4\n" in shown(measured)


def test_a_model_without_a_task_has_no_second_step(bundle: Bundle, tmp_path: Path) -> None:
    write_manifest(bundle.path, bundle.manifest.model_copy(update={"task": None}))
    desk = make_desk(tmp_path, bundle)
    [measured] = edgekit.bench(
        open_bundle(bundle.path),
        str(desk),
        settings={**QUICK, "runs": 1},
        pipeline=True,
        store=False,
    ).values()
    steps = measured.artifacts[0].pipeline
    assert steps
    assert steps.post_ns is None
    assert "does not say how" in steps.without_post
