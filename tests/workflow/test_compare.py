"""Two builds in one session, what is said of them, and stored measurements side by side."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import edgekit
from edgekit import store
from edgekit.bundle.directory import Bundle
from edgekit.cli import run
from edgekit.cli.compare import split
from edgekit.errors import RunnerError, UsageError
from edgekit.verdict.rules import Finding
from edgekit.workflow.compare import CompareResult, own_pairs
from tests.support.desk import QUICK, make_desk
from tests.support.measured import make_bundle, make_measurement


def finding_of(compared: CompareResult, metric: str) -> Finding:
    [finding] = [finding for finding in compared.findings if finding.metric == metric]
    return finding


def test_a_slower_build_is_slower_and_the_other_way_round(
    fast: Bundle, slow: Bundle, desk: Path
) -> None:
    compared = edgekit.compare(fast, slow, str(desk), settings=QUICK)
    worse = finding_of(compared, "latency_p50")
    assert worse.verdict == "worse"
    assert worse.mid == pytest.approx(2, rel=0.05)
    assert (worse.a, worse.b) == (pytest.approx(2.0, rel=0.05), pytest.approx(4.0, rel=0.05))
    assert compared.caveat == ""
    assert compared.a.session == compared.b.session != ""
    assert compared.a.id != compared.b.id
    better = finding_of(edgekit.compare_stored(compared.b, compared.a), "latency_p50")
    assert better.verdict == "better"
    assert better.mid == pytest.approx(0.5, rel=0.05)
    assert finding_of(compared, "peak_memory").verdict == "same"
    assert finding_of(compared, "latency_p99").verdict == "not_judged"
    assert "662" in finding_of(compared, "latency_p99").reason
    assert (
        json.loads(json.dumps(compared.as_dict(), allow_nan=False))["findings"][0]["verdict"]
        == "worse"
    )


def test_the_same_build_twice_is_no_different(fast: Bundle, desk: Path) -> None:
    compared = edgekit.compare(fast, fast, str(desk), settings=QUICK | {"min_iterations": 700})
    assert {finding.metric: finding.verdict for finding in compared.findings} == {
        "latency_p50": "same",
        "latency_p99": "same",
        "peak_memory": "same",
        "size": "same",
        "top1": "same",
    }


def test_builds_are_measured_in_turn_and_who_begins_changes(
    fast: Bundle, slow: Bundle, desk: Path
) -> None:
    names: list[str] = []
    edgekit.compare(
        fast,
        slow,
        str(desk),
        settings=QUICK | {"runs": 3},
        progress=lambda task, done, total, text="": names.append(text),
    )
    order = [text.split()[2].rstrip(",") for text in names if "run" in text and " of " in text]
    a, b = fast.manifest.id[:12], slow.manifest.id[:12]
    assert order == [a, b, b, a, a, b]


def test_no_build_becomes_the_devices_current_one(
    fast: Bundle, slow: Bundle, desk: Path, tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", ["fp32.pte"], text="other model")
    edgekit.deploy(other, str(desk))
    device = tmp_path / "device"
    before = os.readlink(device / "current")
    edgekit.compare(fast, slow, str(desk), settings=QUICK | {"runs": 1})
    assert os.readlink(device / "current") == before
    assert [entry.name for entry in (device / "bundles").iterdir()] == [Path(before).name]
    assert not (device / "outputs.bin").exists()


def test_few_runs_decide_nothing_and_say_how_many_are_missing(
    fast: Bundle, slow: Bundle, desk: Path
) -> None:
    latency = finding_of(
        edgekit.compare(fast, slow, str(desk), settings=QUICK | {"runs": 3}), "latency_p50"
    )
    assert (latency.verdict, latency.low, latency.high) == ("inconclusive", None, None)
    assert "3 of 10 runs" in latency.reason


def test_a_crash_keeps_both_halves(fast: Bundle, slow: Bundle, tmp_path: Path) -> None:
    desk = make_desk(tmp_path, fast, "crash")
    with pytest.raises(RunnerError, match=r"fp32\.pte of [0-9a-f]{12}, run 1 of 10"):
        edgekit.compare(fast, slow, str(desk), settings=QUICK)
    with store.open_store() as opened:
        measurements = [opened.load(row.id) for row in opened.rows()]
    assert {measurement.bundle_id for measurement in measurements} == {
        fast.manifest.id,
        slow.manifest.id,
    }
    assert all(measurement.failure for measurement in measurements)


def test_stored_measurements_of_two_sessions_prove_nothing(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    first, second = (
        make_measurement(bundle, number=number, session=f"{number:032x}") for number in (1, 2)
    )
    compared = edgekit.compare_stored(first, second)
    assert compared.caveat == "not interleaved: not proof"
    assert {finding.pair for finding in compared.findings} == {"fp32.pte", "int8.tflite"}
    elsewhere = second.model_copy(update={"target": "phone"})
    assert "different targets" in edgekit.compare_stored(first, elsewhere).caveat
    assert (
        edgekit.compare_stored(first, second.model_copy(update={"session": first.session})).caveat
        == ""
    )
    assert edgekit.compare_stored(first, first).caveat
    with pytest.raises(UsageError, match=r"has no artifact 'int4\.pte'"):
        edgekit.compare_stored(first, second, pairs=[("fp32.pte", "int4.pte")])


def test_a_bundle_alone_is_compared_over_its_runtimes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no variant is there both as \.pte and as \.tflite"):
        own_pairs(make_bundle(tmp_path / "bundle"))


def test_the_command(
    fast: Bundle,
    slow: Bundle,
    desk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEKIT_DB", str(desk.parent / "results.db"))
    both = [str(fast.path), f"{slow.path}:fp32.pte"]
    assert run(["compare", *both, "--target", str(desk), "--runs", "10"]) == 0
    shown = capsys.readouterr().out
    assert "slower" in shown
    assert "not judged: p99 needs 662 samples" in " ".join(shown.split())
    with store.open_store() as opened:
        ids = [row.id for row in opened.rows()]
        sessions = {opened.load(identity).session for identity in ids}
    assert (len(ids), len(sessions)) == (2, 1)
    assert run(["compare", "--stored", f"{ids[0]}:fp32.pte", f"{ids[1]}:fp32.pte", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {finding["metric"]: finding["verdict"] for finding in answer["findings"]}[
        "latency_p50"
    ] in (
        "better",
        "worse",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--stored", "a"],
        ["--stored", "a:x", "b"],
        ["FAST:fp32.pte"],
        ["FAST", "FAST:int8.pte"],
        ["FAST"],
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    arguments: list[str], fast: Bundle, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_arguments = [argument.replace("FAST", str(fast.path)) for argument in arguments]
    assert run(["compare", *real_arguments, "--target", str(desk)]) == 2
    assert "error:" in capsys.readouterr().err


def test_a_path_may_hold_a_colon(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert split(str(tmp_path / "a:b")) == (tmp_path / "a:b", None)
    assert split(f"{tmp_path}/a:b:int8.pte") == (tmp_path / "a:b", "int8.pte")
    assert split("build/x") == (Path("build/x"), None)
