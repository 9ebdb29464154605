"""Results of the native runner and of the one in Python are told apart, and not judged against each
other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.measure.measurement import Measurement
from edgekit.measure.runs import ArtifactResult, unlike_runners
from edgekit.measure.validity import artifact_notes
from edgekit.verdict.paired import observe
from tests.support.measured import make_bundle, make_measurement

KEYS = ("fp32.tflite", "int8.tflite")


def ran_natively(result: ArtifactResult) -> ArtifactResult:
    assert result.runner
    return result.model_copy(
        update={"runner": result.runner.model_copy(update={"runner": "native"})}
    )


@pytest.fixture
def mixed(tmp_path: Path) -> Measurement:
    """The first file ran natively, the others as they did before there was that."""
    made = make_measurement(make_bundle(tmp_path / "bundle", [*KEYS, "fp32.pte"]))
    first, *others = made.artifacts
    return made.model_copy(update={"artifacts": (ran_natively(first), *others)})


def test_no_ratio_of_two_runners_is_judged(mixed: Measurement) -> None:
    reason = "different runners: fp32.tflite by native and int8.tflite by ai_edge_litert"
    assert reason in mixed.unjudged(*KEYS)
    assert mixed.speedup(*KEYS) is None
    assert mixed.unjudged(KEYS[0]) == mixed.unjudged(KEYS[1]) == ""


def test_two_runtimes_are_compared_as_ever(mixed: Measurement) -> None:
    assert mixed.speedup("fp32.pte", "int8.tflite") is not None
    assert unlike_runners(*map(mixed.result, ("fp32.pte", *KEYS[1:])), None) == ""


def test_a_gate_says_why_it_does_not_compare(mixed: Measurement) -> None:
    native = mixed.model_copy(update={"artifacts": tuple(map(ran_natively, mixed.artifacts))})
    reasons = {
        each.quantity.name: each.why_not for each in observe(mixed, native, [(KEYS[1], KEYS[1])])
    }
    for metric in ("latency_p50", "peak_memory"):
        assert "measured by different runners" in reasons[metric]
    assert reasons["size"] == ""


def test_a_result_says_why_python_ran_it(mixed: Measurement) -> None:
    result = mixed.artifacts[1].model_copy(update={"python_because": "it has variable tensors"})
    notes = artifact_notes(result, snr_min_db=20, cosine_min=0.99)
    [note] = [note for note in notes if note.code == "python_runner"]
    assert (note.level, note.artifact) == ("note", "int8.tflite")
    assert "not by the native one: it has variable tensors" in note.text
