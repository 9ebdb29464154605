"""The whole way on this machine: build, deploy through the device store, run in both runtimes,
store, judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgekit
from edgekit.cli import run as edgekit_command
from edgekit.workflow.run import RunResult
from tests.support.recipes import RECIPE
from tools.emulation.machine import free_port

pytestmark = pytest.mark.torch

SHORT = [
    "bench.runs=10",
    "bench.min_seconds=0.01",
    "bench.min_iterations=64",
    "bench.warmup_min_seconds=0.01",
]
BUDGET = """
budget:
  variants:
    fp32: {top1_min_percent: 20}
    int8: {size_min_shrink_ratio: 2, latency_p50_max_ms: 1000, peak_memory_max_bytes: 1000000000}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def recipe(place: Path) -> Path:
    path = place / "tiny.yaml"
    path.write_text(RECIPE + BUDGET)
    (place / "here.yaml").write_text(
        f"edgekit: 1\nname: here\nkind: local\nworkdir: {place}/device\n"
    )
    return path


@pytest.fixture(scope="module")
def environment(place: Path) -> dict[str, str]:
    return {"EDGEKIT_CACHE": str(place / "cache"), "EDGEKIT_DB": f"sqlite:///{place}/results.db"}


@pytest.fixture(scope="module")
def result(place: Path, recipe: Path, environment: dict[str, str]) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return edgekit.run(
            recipe, targets=[str(place / "here.yaml")], overrides=SHORT, output=place / "out"
        )


@pytest.fixture
def _same_place(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_every_artifact_was_measured_in_its_runtime(result: RunResult) -> None:
    measurement = result.measurements["here"]
    assert {r.key for r in measurement.artifacts} == {
        "fp32.pte",
        "fp32.tflite",
        "int8.pte",
        "int8.tflite",
    }
    for key in ("fp32.pte", "int8.tflite"):
        latency, memory = measurement.p50_ms(key), measurement.peak_memory_bytes(key)
        assert latency is not None
        assert 0 < latency < 1000
        assert memory is not None
        assert 1 << 20 < memory < 1 << 30
    assert not measurement.quick


def test_outputs_on_the_device_are_those_of_the_bundle(result: RunResult) -> None:
    for measured in result.measurements["here"].artifacts:
        assert measured.outputs, measured.key
        assert all(output.cosine > 0.999 for output in measured.outputs)


def test_the_budget_is_judged_on_the_measurement(result: RunResult) -> None:
    assert all(verdict.ok for verdict in result.verdicts), result.verdicts
    assert {"latency_p50_max_ms", "peak_memory_max_bytes", "metrics.top1.min"} <= {
        verdict.limit for verdict in result.verdicts
    }


@pytest.mark.usefixtures("_same_place", "result")
def test_the_command_line_reuses_all_and_prints_the_same(
    place: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [part for setting in SHORT for part in ("--set", setting)]
    command = [
        "run",
        str(recipe),
        "--target",
        str(place / "here.yaml"),
        "--output",
        str(place / "out"),
        *overrides,
    ]
    assert edgekit_command(command) == 0
    shown = capsys.readouterr().out
    for word in ("fp32.pte", "int8.tflite", "metrics.top1.min", "cached"):
        assert word in shown


@pytest.mark.usefixtures("_same_place", "result")
def test_a_budget_that_is_not_met_is_exit_code_1_with_json_too(
    place: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = ["--set", "budget.variants.int8.size_min_shrink_ratio=100"]
    assert (
        edgekit_command(["build", str(recipe), "--output", str(place / "out"), *strict, "--json"])
        == 1
    )
    budget = json.loads(capsys.readouterr().out)["budget"]
    assert not budget["met"]
    assert [c["limit"] for c in budget["checks"] if not c["ok"]] == ["size_min_shrink_ratio"] * 2
    assert edgekit_command(["build", str(recipe), "--output", str(place / "out"), *strict]) == 1
    assert "size_min_shrink_ratio" in capsys.readouterr().err


@pytest.mark.usefixtures("_same_place", "result")
def test_the_measurement_is_in_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert edgekit_command(["results", "list", "--json"]) == 0
    assert '"here"' in capsys.readouterr().out


@pytest.mark.usefixtures("_same_place")
def test_bench_measures_a_bundle_again(
    result: RunResult, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "bench",
        str(result.build.bundle.path),
        "--target",
        str(place / "here.yaml"),
        "--runs",
        "1",
        "--json",
    ]
    assert edgekit_command(command) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["target"] == "here"
    assert measured["quick"]


@pytest.mark.usefixtures("_same_place", "result")
def test_a_dead_target_does_not_stop_the_other(
    place: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Case 54 of the faults: built once, the living target measured and stored, the dead one named,
    its exit code."""
    (place / "dead.yaml").write_text(
        f"edgekit: 1\nname: dead\nkind: ssh\nhost: 127.0.0.1\nport: {free_port()}\n"
    )
    overrides = [part for setting in [*SHORT, "bench.runs=1"] for part in ("--set", setting)]
    targets = ["--target", str(place / "dead.yaml"), "--target", str(place / "here.yaml")]
    assert (
        edgekit_command(
            ["run", str(recipe), *targets, "--output", str(place / "out"), *overrides, "--json"]
        )
        == 5
    )
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["failures"]) == ["dead"]
    measured = answer["targets"]["here"]
    with edgekit.open_store() as results:
        assert measured["id"] in [
            row.id for row in results.rows(target="here", bundle_name=None, limit=20)
        ]


@pytest.mark.nightly
@pytest.mark.usefixtures("_same_place", "result")
def test_a_sweep_measures_what_is_different_once(
    place: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [part for setting in SHORT for part in ("--set", setting)]
    command = [
        "sweep",
        str(recipe),
        "--over",
        "stages.int8.observer=minmax,histogram",
        "--target",
        str(place / "here.yaml"),
        *overrides,
    ]
    assert edgekit_command([*command, "--output", str(place / "out"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    candidates = {
        (candidate["settings"].get("stages.int8.observer"), candidate["artifact"])
        for candidate in answer["candidates"]
    }
    assert candidates == {
        (None, "fp32.pte"),
        (None, "fp32.tflite"),
        *((o, k) for o in ("minmax", "histogram") for k in ("int8.pte", "int8.tflite")),
    }
    assert all(candidate["p50_ms"] > 0 for candidate in answer["candidates"])
    assert any(candidate["best"] for candidate in answer["candidates"])
    assert len({measured["session"] for measured in answer["measurements"]}) == 1
    assert answer["failures"] == []


@pytest.mark.nightly
@pytest.mark.usefixtures("_same_place", "result")
def test_a_sweep_goes_on_without_what_cannot_be_built(
    place: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "sweep",
        str(recipe),
        "--over",
        "stages.int8.keep_float=[],[nothing]",
        "--output",
        str(place / "out"),
    ]
    assert edgekit_command(command) == 3
    shown = capsys.readouterr().out
    assert "int8.tflite" in shown
    assert "not built stages.int8.keep_float=[nothing]" in shown
    assert "n/a" in shown
