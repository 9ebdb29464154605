"""Which of many is best; the whole sweep, with its builds and measurements, is in
tests/workflow/test_run.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgekit
from edgekit.bundle.manifest import Artifact
from edgekit.cli import run
from edgekit.cli.sweep import _split
from edgekit.errors import UsageError
from edgekit.stats import QuantileEstimate
from edgekit.workflow.sweep import SweepCandidate, _beats, _ranked
from tests.support.measured import make_artifact, top1

NUMBERS = st.tuples(st.integers(0, 100), st.integers(1, 5), st.integers(0, 3), st.integers(1, 5))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    directory = tmp_path_factory.mktemp("artifact")
    (directory / "reference").mkdir()
    return make_artifact(directory, "int8.tflite")


def candidate(artifact: Artifact, correct: int, p50: int, width: int, size: int) -> SweepCandidate:
    verification = artifact.verification.model_copy(update={"metrics": (top1(correct, 100),)})
    file = artifact.file.model_copy(update={"bytes": size})
    other = artifact.model_copy(update={"verification": verification, "file": file})
    return SweepCandidate(
        {}, other, Path("b"), QuantileEstimate(p50, p50 - width / 2, p50 + width / 2, 10)
    )


@given(numbers=st.lists(NUMBERS, min_size=1, max_size=8))
def test_some_are_best_and_no_other_beats_them(
    artifact: Artifact, numbers: list[tuple[int, int, int, int]]
) -> None:
    """Accuracy and size are orders, and so are intervals that do not overlap: there is always one
    that nothing beats."""
    ranked = _ranked([candidate(artifact, *values) for values in numbers])
    assert [entry.p50_ns.value for entry in ranked if entry.p50_ns] == sorted(
        p50 for _, p50, _, _ in numbers
    )
    assert any(entry.best for entry in ranked)
    for entry in ranked:
        assert entry.best == (not any(_beats(other, entry) for other in ranked))
        assert not _beats(entry, entry)


def test_what_beats_what(artifact: Artifact) -> None:
    reference = candidate(artifact, 90, 3, 1, 100)
    assert _beats(candidate(artifact, 91, 3, 1, 100), reference)
    assert _beats(candidate(artifact, 90, 3, 1, 99), reference)
    assert _beats(candidate(artifact, 90, 1, 1, 100), reference)
    assert not _beats(candidate(artifact, 90, 2, 1, 100), reference), "their intervals touch"
    assert not _beats(candidate(artifact, 95, 5, 1, 100), reference), "slower"
    assert not _beats(candidate(artifact, 89, 1, 1, 10), reference), "less accurate"


def test_values_are_split_at_commas_outside_of_lists() -> None:
    assert _split("0.3, 0.5,[a, {b: c, d: e}],x") == ["0.3", "0.5", "[a, {b: c, d: e}]", "x"]


@pytest.mark.parametrize("over", ["stages.fp32.epochs", "seed=", "seed=1,,2"])
def test_what_is_no_list_of_values(
    over: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sweep", str(tmp_path / "x.yaml"), "--over", over]) == 2
    assert "expected KEY=A,B,C" in capsys.readouterr().err


def test_too_many_combinations_and_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="81 combinations"):
        edgekit.sweep(
            tmp_path / "x.yaml",
            {"seed": list(map(str, range(9))), "data.test_limit": list(map(str, range(1, 10)))},
        )
    with pytest.raises(UsageError, match="0 combinations"):
        edgekit.sweep(tmp_path / "x.yaml", {})


def test_all_recipes_are_read_before_anything_is_built() -> None:
    with pytest.raises(UsageError, match="epochs"):
        edgekit.sweep(
            Path(__file__).parents[2] / "recipes" / "quickstart.yaml",
            {"stages.fp32.epochs": ["1", "many"]},
        )
